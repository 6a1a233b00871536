package turn

import "time"

// Policy holds the constants of a conversation, each a
// field of an agent's turn: block. A zero field means the default beside it;
// WithDefaults fills them in.
type Policy struct {
	// 200ms voiced before the caller has the floor
	OnsetConfirm time.Duration `yaml:"onset_confirm" json:"onset_confirm,omitempty"`
	// 200ms voiced before our speech pauses
	PauseAfter time.Duration `yaml:"pause_after" json:"pause_after,omitempty"`
	// 800ms voiced is proof while the recogniser is down
	ForceAfter time.Duration `yaml:"force_after" json:"force_after,omitempty"`
	// 1 word that is no backchannel is proof
	MinWords int `yaml:"min_words" json:"min_words,omitempty"`
	// 500ms of quiet without proof
	ResumeAfter time.Duration `yaml:"resume_after" json:"resume_after,omitempty"`
	// 1.5s at most in a pause
	ResumeCap time.Duration `yaml:"resume_cap" json:"resume_cap,omitempty"`
	// 400ms at most back to a word's start
	ResumeRewind time.Duration `yaml:"resume_rewind" json:"resume_rewind,omitempty"`
	// 300ms after a finished sentence
	WaitComplete time.Duration `yaml:"wait_complete" json:"wait_complete,omitempty"`
	// 600ms otherwise
	WaitNormal time.Duration `yaml:"wait_normal" json:"wait_normal,omitempty"`
	// 1.2s after an unfinished phrase
	WaitUnfinished time.Duration `yaml:"wait_unfinished" json:"wait_unfinished,omitempty"`
	// 0.5 and more of a turn model's probability is an end
	EOTThreshold float64 `yaml:"eot_threshold" json:"eot_threshold,omitempty"`
	// 300ms after an end by a turn model's word
	WaitSure time.Duration `yaml:"wait_sure" json:"wait_sure,omitempty"`
	// 2.5s where it thinks that more will come
	WaitUnsure time.Duration `yaml:"wait_unsure" json:"wait_unsure,omitempty"`
	// false: callers dictate numbers, names or addresses, and get more time
	SlowInput bool `yaml:"slow_input" json:"slow_input,omitempty"`
	// 1.2s after the end of speech while they do
	SlowMin time.Duration `yaml:"slow_min" json:"slow_min,omitempty"`
	// 4s after something unfinished
	SlowMax time.Duration `yaml:"slow_max" json:"slow_max,omitempty"`
	// 3s
	WaitCap time.Duration `yaml:"wait_cap" json:"wait_cap,omitempty"`
	// 5s after the last edge or word
	HardStop time.Duration `yaml:"hard_stop" json:"hard_stop,omitempty"`
	// what 99 of 100 of the recogniser's last words take in this deployment, for a final that is owed; 1.5s without one
	STTWait time.Duration `yaml:"stt_wait" json:"stt_wait,omitempty"`
	// 1s more until we ask a caller to repeat what came to no words
	STTMiss time.Duration `yaml:"stt_miss" json:"stt_miss,omitempty"`
	// 600ms is the shortest voice that we ask about
	MissVoiced time.Duration `yaml:"miss_voiced" json:"miss_voiced,omitempty"`
	// 500ms heard of an answer when the caller goes on is a turn in two halves
	SplitHeard time.Duration `yaml:"split_heard" json:"split_heard,omitempty"`
	// 3s after a commit words without a voice of their own are of that turn
	LateFinal time.Duration `yaml:"late_final" json:"late_final,omitempty"`
	// 1s before the end of a question a sign of listening is its answer
	AnswerOverlap time.Duration `yaml:"answer_overlap" json:"answer_overlap,omitempty"`
	// 0: a caller may speak for as long as they like
	UserTurnLimit time.Duration `yaml:"user_turn_limit" json:"user_turn_limit,omitempty"`
	// 15s without a recogniser end the call with an apology
	DeafAfter time.Duration `yaml:"deaf_after" json:"deaf_after,omitempty"`
	// 1.5s a ready reply waits for a sound without words
	HoldMax time.Duration `yaml:"hold_max" json:"hold_max,omitempty"`
	// none of silence after a sentence before the next, counted as ours: 120ms
	// for a voice that leaves none
	SentencePause time.Duration `yaml:"sentence_pause" json:"sentence_pause,omitempty"`
	// 2s after commit with nothing audible
	FillerAfter time.Duration `yaml:"filler_after" json:"filler_after,omitempty"`
	// 2.4s after a filler, a further one: no silence is longer than 3 s
	FillerFurther time.Duration `yaml:"filler_further" json:"filler_further,omitempty"`
	// 2.4s that an answer has run dry, then its model is given up
	DryAfter time.Duration `yaml:"dry_after" json:"dry_after,omitempty"`
	// 10s
	ApologyAfter time.Duration `yaml:"apology_after" json:"apology_after,omitempty"`
	// 600ms after our last audible sample
	BridgeAfter time.Duration `yaml:"bridge_after" json:"bridge_after,omitempty"`
	// 4s
	BridgeSecond time.Duration `yaml:"bridge_second" json:"bridge_second,omitempty"`
	// 2s after the model's own last words, which say enough
	BridgeQuiet time.Duration `yaml:"bridge_quiet" json:"bridge_quiet,omitempty"`
	// 8s each
	BridgeFurther time.Duration `yaml:"bridge_further" json:"bridge_further,omitempty"`
	// 2 further sentences at most
	BridgeRepeats int `yaml:"bridge_repeats" json:"bridge_repeats,omitempty"`
	// 120ms between a bridging sentence and the answer
	Breath time.Duration `yaml:"breath" json:"breath,omitempty"`
	// 2.5s until the sound of waiting under a tool that says nothing
	HoldAfter time.Duration `yaml:"hold_after" json:"hold_after,omitempty"`
	// 700ms of quiet before the result of an asynchronous tool is told
	AsyncQuiet time.Duration `yaml:"async_quiet" json:"async_quiet,omitempty"`
	// 1m, then it is only context
	AsyncTTL time.Duration `yaml:"async_ttl" json:"async_ttl,omitempty"`
	// 30s that an effect may go on after the call has ended
	EffectGrace time.Duration `yaml:"effect_grace" json:"effect_grace,omitempty"`
	// 2 calls of one tool with the same arguments in a turn
	SameCalls int `yaml:"same_calls" json:"same_calls,omitempty"`
	// 5 calls of one tool within burst_window
	BurstCalls int `yaml:"burst_calls" json:"burst_calls,omitempty"`
	// 10s
	BurstWindow time.Duration `yaml:"burst_window" json:"burst_window,omitempty"`
	// 10 nodes of a flow entered in one turn
	MaxTransitions int `yaml:"max_transitions" json:"max_transitions,omitempty"`
	// 5, then no tools
	MaxToolSteps int `yaml:"max_tool_steps" json:"max_tool_steps,omitempty"`
	// Keys are the rules for keys that are pressed unasked, and what a
	// collection that leaves a rule open goes by.
	Keys Keys `yaml:"keys" json:"keys,omitzero"`
	// 3s between keys
	DigitGap time.Duration `yaml:"digit_gap" json:"digit_gap,omitempty"`
	// 8s
	Silence time.Duration `yaml:"silence" json:"silence,omitempty"`
	// as silence: what follows the first prompt
	SilenceAgain time.Duration `yaml:"silence_again" json:"silence_again,omitempty"`
	// 2s in all that sounds without words may put the prompts and the goodbye off
	NoisePause time.Duration `yaml:"noise_pause" json:"noise_pause,omitempty"`
	// 2, then goodbye
	SilencePrompts int `yaml:"silence_prompts" json:"silence_prompts,omitempty"`
	// 15s after the answer
	MediaLostStart time.Duration `yaml:"media_lost_start" json:"media_lost_start,omitempty"`
	// 30s later in the call
	MediaLost time.Duration `yaml:"media_lost" json:"media_lost,omitempty"`
	// false: the model asks whether a silent caller is there, in words that fit
	SilenceAsk bool `yaml:"silence_ask" json:"silence_ask,omitempty"`
	// false: words of the caller's against the last goodbye of an end_call or
	// of a silent call bring it back
	GoodbyeInterruptible bool `yaml:"goodbye_interruptible" json:"goodbye_interruptible,omitempty"`
	// 30s before the call has lasted too long the model is told
	MaxCallWarning time.Duration `yaml:"max_call_warning" json:"max_call_warning,omitempty"`
	// 5s for the sentence that sounds when it has
	FinishCap time.Duration `yaml:"finish_cap" json:"finish_cap,omitempty"`
	// 2s at most for the far end of a leg that buffers to play our last words
	AckCap time.Duration `yaml:"ack_cap" json:"ack_cap,omitempty"`
	// 1.2s of a callee's silence before an outbound call is greeted
	GreetAfter time.Duration `yaml:"greet_after" json:"greet_after,omitempty"`
	// 20s after the answer at most
	GreetCap time.Duration `yaml:"greet_cap" json:"greet_cap,omitempty"`
	// 1.5s of a mailbox's silence is as good as its beep
	BeepSilence time.Duration `yaml:"beep_silence" json:"beep_silence,omitempty"`
	// 45s at most for either
	BeepCap time.Duration `yaml:"beep_cap" json:"beep_cap,omitempty"`
	// 30s for whoever is behind an assistant that screens calls
	ScreeningWait time.Duration `yaml:"screening_wait" json:"screening_wait,omitempty"`
	// 30s of hold, then a welcome back instead of the rest of a sentence
	WelcomeAfter time.Duration `yaml:"welcome_after" json:"welcome_after,omitempty"`
	// 10s
	DrainCap time.Duration `yaml:"drain_cap" json:"drain_cap,omitempty"`
	// 200ms after the last sample
	Tail time.Duration `yaml:"tail" json:"tail,omitempty"`
	// 300ms
	GreetingGuard time.Duration `yaml:"greeting_guard" json:"greeting_guard,omitempty"`
	// 12 characters at least before a clause may be spoken first
	FirstClause int `yaml:"first_clause" json:"first_clause,omitempty"`
	// 40 characters after which the first words are spoken without a mark
	FirstLength int `yaml:"first_length" json:"first_length,omitempty"`
	// 3 words are spoken first when the model pauses
	FirstWords int `yaml:"first_words" json:"first_words,omitempty"`
	// 150ms without a token are such a pause
	FirstPatience time.Duration `yaml:"first_patience" json:"first_patience,omitempty"`
	// 20 characters under which a sentence is spoken with the next
	MinSentence int `yaml:"min_sentence" json:"min_sentence,omitempty"`
	// 250 characters above which a sentence is spoken in two
	MaxSentence int `yaml:"max_sentence" json:"max_sentence,omitempty"`
	// false: true tells the model behind which words it was interrupted
	InterruptionHint bool `yaml:"interruption_hint" json:"interruption_hint,omitempty"`
	// the agent's max_call_duration, 15m
	MaxCall time.Duration `yaml:"-" json:"-"`
	// 5m
	HoldCap time.Duration `yaml:"hold_cap" json:"hold_cap,omitempty"`
	// 15s
	Watchdog time.Duration `yaml:"watchdog" json:"watchdog,omitempty"`
	// Replies that are prepared before the turn has ended
	Speculation Speculation `yaml:"speculation" json:"speculation,omitzero"`
	// Phrases of the engine's own, in the agent's language; "" for the
	// built-in one, English where there is none.
	FillerPhrase   string   `yaml:"filler_phrase" json:"filler_phrase,omitempty"`
	ApologyPhrase  string   `yaml:"apology_phrase" json:"apology_phrase,omitempty"`
	SilencePhrases []string `yaml:"silence_phrases" json:"silence_phrases,omitempty"`
	GoodbyePhrase  string   `yaml:"goodbye_phrase" json:"goodbye_phrase,omitempty"`
	KeysPhrase     string   `yaml:"keys_phrase" json:"keys_phrase,omitempty"`
	RepeatPhrase   string   `yaml:"repeat_phrase" json:"repeat_phrase,omitempty"`
	WelcomePhrase  string   `yaml:"welcome_phrase" json:"welcome_phrase,omitempty"`
	// ScreeningPhrase answers an assistant that screens calls, once.
	ScreeningPhrase string `yaml:"screening_phrase" json:"screening_phrase,omitempty"`
	// TransferPhrase tells that a transfer came to nothing.
	TransferPhrase string `yaml:"transfer_phrase" json:"transfer_phrase,omitempty"`
	TooLongPhrase  string `yaml:"user_turn_phrase" json:"user_turn_phrase,omitempty"`
	// Bridging sentences for tools that have none of their own, or whose own
	// were heard: at the start of a wait, and later in it. None is said twice in
	// a call.
	BridgePhrases []string `yaml:"bridge_phrases" json:"bridge_phrases,omitempty"`
	WaitPhrases   []string `yaml:"wait_phrases" json:"wait_phrases,omitempty"`
	// The agent's language, for the phrases above and the words of its callers.
	Language string `yaml:"-" json:"language,omitempty"`
	// Languages are those that the call may change to, the agent's own first.
	Languages []string `yaml:"-" json:"languages,omitempty"`
	// When it changes to one of them
	LanguageSwitch LanguagePolicy `yaml:"language_switch" json:"language_switch,omitzero"`
}

// WithDefaults is p with every zero field filled in.
func (p Policy) WithDefaults() Policy {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&p.OnsetConfirm, 200 * time.Millisecond},
		{&p.PauseAfter, 200 * time.Millisecond},
		{&p.ForceAfter, 800 * time.Millisecond},
		{&p.ResumeAfter, 500 * time.Millisecond},
		{&p.ResumeCap, 1500 * time.Millisecond},
		{&p.ResumeRewind, 400 * time.Millisecond},
		{&p.WaitComplete, 300 * time.Millisecond},
		{&p.WaitNormal, 600 * time.Millisecond},
		{&p.WaitUnfinished, 1200 * time.Millisecond},
		{&p.WaitSure, 300 * time.Millisecond},
		{&p.WaitUnsure, 2500 * time.Millisecond},
		{&p.SlowMin, 1200 * time.Millisecond},
		{&p.SlowMax, 4 * time.Second},
		{&p.WaitCap, 3 * time.Second},
		{&p.HardStop, 5 * time.Second},
		{&p.STTWait, 1500 * time.Millisecond},
		{&p.STTMiss, time.Second},
		{&p.MissVoiced, 600 * time.Millisecond},
		{&p.SplitHeard, 500 * time.Millisecond},
		{&p.LateFinal, 3 * time.Second},
		{&p.AnswerOverlap, time.Second},
		{&p.DeafAfter, 15 * time.Second},
		{&p.HoldMax, 1500 * time.Millisecond},
		{&p.FillerAfter, 2 * time.Second},
		{&p.FillerFurther, 2400 * time.Millisecond},
		{&p.DryAfter, 2400 * time.Millisecond},
		{&p.ApologyAfter, 10 * time.Second},
		{&p.BridgeAfter, 600 * time.Millisecond},
		{&p.BridgeSecond, 4 * time.Second},
		{&p.BridgeQuiet, 2 * time.Second},
		{&p.BridgeFurther, 8 * time.Second},
		{&p.Breath, 120 * time.Millisecond},
		{&p.HoldAfter, 2500 * time.Millisecond},
		{&p.AsyncQuiet, 700 * time.Millisecond},
		{&p.AsyncTTL, time.Minute},
		{&p.EffectGrace, 30 * time.Second},
		{&p.BurstWindow, 10 * time.Second},
		{&p.DigitGap, 3 * time.Second},
		{&p.Silence, 8 * time.Second},
		{&p.NoisePause, 2 * time.Second},
		{&p.MediaLostStart, 15 * time.Second},
		{&p.MediaLost, 30 * time.Second},
		{&p.MaxCallWarning, 30 * time.Second},
		{&p.FinishCap, 5 * time.Second},
		{&p.AckCap, 2 * time.Second},
		{&p.GreetAfter, 1200 * time.Millisecond},
		{&p.GreetCap, 20 * time.Second},
		{&p.BeepSilence, 1500 * time.Millisecond},
		{&p.BeepCap, 45 * time.Second},
		{&p.ScreeningWait, 30 * time.Second},
		{&p.WelcomeAfter, 30 * time.Second},
		{&p.DrainCap, 10 * time.Second},
		{&p.Tail, 200 * time.Millisecond},
		{&p.GreetingGuard, 300 * time.Millisecond},
		{&p.FirstPatience, 150 * time.Millisecond},
		{&p.MaxCall, 15 * time.Minute},
		{&p.HoldCap, 5 * time.Minute},
		{&p.Watchdog, 15 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *int
		value int
	}{
		{&p.MinWords, 1},
		{&p.MaxToolSteps, 5},
		{&p.SilencePrompts, 2},
		{&p.BridgeRepeats, 2},
		{&p.MaxTransitions, 10},
		{&p.SameCalls, 2},
		{&p.BurstCalls, 5},
		{&p.FirstClause, 12},
		{&p.FirstLength, 40},
		{&p.FirstWords, 3},
		{&p.MinSentence, 20},
		{&p.MaxSentence, 250},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	p.Speculation.fill()
	if p.SilenceAgain <= 0 {
		p.SilenceAgain = p.Silence
	}
	if !(p.EOTThreshold > 0) { // nor NaN
		p.EOTThreshold = 0.5
	}
	p.LanguageSwitch.fill()
	p.fillPhrases()
	return p
}
