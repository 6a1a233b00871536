package turn

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// source gives the choices of a random call: rapid's, which can be shrunk, or a
// generator's, which is fast.
type source interface {
	intN(n int) int // 0 to n-1
}

// world is a shell and a caller: it feeds a checked machine with what may come
// next, weighted as in calls, and now and then with what may not.
type world struct {
	*checker
	src    source
	voice  bool
	ids    int
	heard  []string // items of the model's server whose words are to come
	server int      // items there were

	ear    bool   // only a recogniser hears the caller, no server (conv:R10)
	told   string // by interims of the utterance that is not final yet
	toldAt time.Duration
	loose  bool // other interims were, of an utterance without a final
}

func newWorld(src source, fail func(string, ...any)) *world {
	w := &world{src: src}
	w.checker = newChecker(w.policy(), fail)
	w.ear = w.chance(1, 2)
	return w
}

func (w *world) chance(n, of int) bool { return w.src.intN(of) < n }

func sample[T any](w *world, of []T) T { return of[w.src.intN(len(of))] }

// policy is one of those that agents have.
func (w *world) policy() Policy {
	p := Policy{Language: sample(w, []string{"", "en", "de", "fr"})}
	off := false
	for _, change := range []func(){
		func() { p.SlowInput = true },
		func() { p.MinWords = 2 },
		func() { p.UserTurnLimit = 5 * time.Second },
		func() { p.Speculation.Enabled = &off },
		func() { p.MaxCall = time.Minute },
		func() { p.WaitComplete, p.WaitNormal = 10*ms, 20*ms },
	} {
		if w.chance(1, 6) {
			change()
		}
	}
	return p
}

var texts = []string{
	"", "yes", "mm-hmm", "stop", "where is my order", "my name is", "goodbye.", "four five", "no, the other one.", "um",
}

// pick is a live reply, or now and then any.
func (w *world) pick() Gen {
	if len(w.live) == 0 || w.chance(1, 12) {
		return Gen(w.src.intN(int(w.m.gen) + 2)) //nolint:gosec // small
	}
	var gs []Gen
	for g := w.m.gen; g > 0 && len(gs) < len(w.live); g-- {
		if w.live[g] {
			gs = append(gs, g)
		}
	}
	return sample(w, gs)
}

// action is something that may come next, and how often.
type action struct {
	weight int
	do     func(w *world)
}

// actions are what happens in calls, by their share of the events of one.
var actions = []action{
	{60, (*world).caller},
	{55, (*world).recogniser},
	{70, (*world).model},
	{60, (*world).sound},
	{25, (*world).tool},
	{12, (*world).key},
	{12, (*world).rare},
	{10, (*world).serverSide},
	{2, (*world).end1},
}

var allWeights = func() (n int) {
	for _, a := range actions {
		n += a.weight
	}
	return n
}()

// random lets something happen.
func (w *world) random() {
	at := w.src.intN(allWeights)
	for _, a := range actions {
		if at -= a.weight; at < 0 {
			a.do(w)
			return
		}
	}
}

func (w *world) caller() {
	switch {
	case !w.voice:
		w.voice = true
		w.step(VoiceStart{At: max(0, w.now-60*ms)})
	case w.chance(1, 3):
		w.step(Voiced{})
	case w.chance(1, 8):
		w.voice = false
		w.step(AudioIdle{})
	default:
		w.voice = false
		w.step(VoiceEnd{At: max(0, w.now-200*ms), Echo: w.chance(1, 8)})
	}
}

func (w *world) recogniser() {
	switch w.src.intN(10) {
	case 0, 1:
		w.utter()
	case 2, 3:
		text := sample(w, texts)
		if w.now-w.toldAt > w.m.policy.HardStop+w.m.policy.LateFinal {
			w.told = ""
		}
		if w.told != "" { // a guess at what comes next
			w.toldAt = w.now
			text = join(w.told, sample(w, []string{"", "yes", "stop", "um"}))
		}
		w.loose = w.loose || w.told == ""
		w.step(Interim{Text: text, Echo: w.chance(1, 8)})
	case 4:
		w.step(EOT{P: float64(w.src.intN(11)) / 10})
	case 5:
		w.step(Endpoint{Kind: EndpointKind(w.src.intN(3))}) //nolint:gosec // 0 to 2
	default:
		text := sample(w, texts)
		if w.chance(1, 2) {
			text = w.word()
		}
		w.finish1(text)
	}
}

// utter tells one more word of an utterance, which the final will have as well.
func (w *world) utter() {
	if !w.ear {
		w.step(Interim{Text: sample(w, texts)})
		return
	}
	old := w.told != "" && w.now-w.toldAt > w.m.policy.HardStop+w.m.policy.LateFinal
	if old || w.loose { // its final came to nothing
		w.told, w.loose = "", false
		w.step(Final{})
	}
	w.ids++
	w.told, w.toldAt = join(w.told, fmt.Sprintf("order i%di", w.ids)), w.now
	w.step(Interim{Text: w.told, Echo: w.chance(1, 8)})
}

// finish1 is a final: of what was told of the utterance, and more or nothing.
func (w *world) finish1(text string) {
	told := strings.Fields(w.told)
	old := w.now-w.toldAt > w.m.policy.HardStop+w.m.policy.LateFinal
	w.told, w.loose = "", false
	switch {
	case len(told) == 0 || old:
	case !strings.Contains(text, "order w") && w.chance(1, 8):
		text = "" // nothing after all
	default:
		text = join(strings.Join(told, " "), text)
		if call := w.m.Call(); call != Setup && call != Ended {
			for i := 1; i < len(told); i += 2 {
				w.said = append(w.said, told[i])
			}
		}
	}
	w.step(Final{Text: text, Endpointed: w.chance(1, 5), Echo: w.chance(1, 20), Confidence: 0.9})
}

func (w *world) model() {
	g := w.pick()
	switch {
	case w.chance(1, 4):
		w.step(Useful{g})
	case w.chance(1, 12):
		w.step(LLMErr{G: g, Words: w.chance(1, 2)})
	case w.chance(1, 20):
		w.step(Void{w.ahead, "context_changed"})
	default:
		var calls []Call
		for range max(0, w.src.intN(5)-2) {
			w.ids++
			calls = append(calls, Call{
				ID: fmt.Sprint("c", w.ids), Class: Class(w.src.intN(4)), Refused: w.chance(1, 5), //nolint:gosec // 0 to 3
				Bridge: "One moment.", Silently: w.chance(1, 5), Runs: w.chance(1, 3), Hold: w.chance(1, 3),
				Next: w.way(),
			})
		}
		w.step(LLMDone{G: g, Words: w.chance(3, 4), Asks: w.chance(1, 3), Calls: calls})
	}
}

func (w *world) sound() {
	switch f := w.front; {
	case f != 0 && !w.started[f] && w.chance(4, 5):
		w.step(Started{f})
	case f != 0 && w.started[f] && !w.paused && w.chance(1, 2):
		w.step(Played{f})
	case w.chance(1, 15):
		w.step(Dry{f, w.chance(2, 3)})
	case w.chance(1, 2):
		w.step(Audio{w.pick()})
	default:
		w.step(Fed{w.pick(), w.chance(9, 10)})
	}
}

func (w *world) tool() {
	if away := slices.Sorted(maps.Keys(w.away)); len(away) > 0 && w.chance(1, 3) {
		w.step(AsyncDone{ID: sample(w, away), Say: sample(w, []string{"", "It is there."})})
		return
	}
	ids := slices.Sorted(maps.Keys(w.running))
	if len(ids) == 0 {
		w.step(ToolDone{ID: fmt.Sprint("c", w.src.intN(w.ids+2))})
		return
	}
	w.step(ToolDone{ID: sample(w, ids), Say: sample(w, []string{"", "", "Done."}), Failed: w.chance(1, 6), Next: w.way()})
}

// way is a node of a flow to go to, now and then.
func (w *world) way() *Node {
	if !w.chance(1, 8) {
		return nil
	}
	w.ids++
	n := &Node{Name: fmt.Sprint("n", w.ids), Slow: w.chance(1, 3), Locked: w.chance(1, 4)}
	for range w.src.intN(3) {
		w.ids++
		n.Actions = append(n.Actions, fmt.Sprint("c", w.ids))
	}
	return n
}

func (w *world) key() {
	if w.m.deaf() == "" && w.chance(2, 3) {
		w.keys++
		w.step(Digit{'A'})
		return
	}
	w.step(sample(w, []Event{
		Digit{'#'}, CollectKeys{Keys{Max: 2, HoldSpeech: true}}, CollectKeys{}, StopKeys{},
	}))
}

func (w *world) rare() {
	if w.chance(1, 6) { // a transfer, a machine that answers
		w.step(sample(w, []Event{
			Mute{true},
			Mute{},
			TransferStarted{ID: "t"},
			TransferStarted{ID: "t", Announcement: "I put you through."},
			TransferJoined{ID: "t"},
			TransferResult{ID: "t"},
			Verdict{Class: PartyHuman},
			Verdict{Class: PartyScreening},
			Verdict{Class: PartyMachine, Message: "Call us back."},
			Beep{},
			FarPlayed{},
		}))
		return
	}
	w.step(sample(w, []Event{
		Hold{true},
		Hold{false},
		Hold{false},
		SayText{"Hello."},
		SayText{"Shall I?"},
		STTDown{true},
		STTDown{},
		STTDown{},
		PreCallDone{},
		SlowInput{true},
		SlowInput{},
		Answered{Greeting: "Again."},
		Tick{},
	}))
}

// serverSide is a speech-to-speech model's server.
func (w *world) serverSide() {
	switch {
	case w.ear:
		w.recogniser()
	case w.chance(1, 2):
		w.voice = true
		w.step(ServerVoice{At: max(0, w.now-60*ms)})
	case len(w.heard) == 0 || w.chance(1, 2):
		w.server++
		w.voice = false
		w.heard = append(w.heard, fmt.Sprint("i", w.server))
		w.step(ServerTurn{w.heard[len(w.heard)-1]})
	default:
		id := sample(w, w.heard)
		w.heard = slices.DeleteFunc(w.heard, func(x string) bool { return x == id })
		text := ""
		if w.m.Call() != Ended && w.chance(1, 2) {
			text = w.word()
		}
		w.step(Heard{id, text})
	}
}

func (w *world) end1() {
	if w.chance(1, 3) {
		w.step(sample(w, []Event{End{Reason: EndAPI}, End{Reason: EndDrained}, Bye{}, MediaLost{}}))
	}
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	until := w.now + d
	for {
		at, ok := w.m.Next()
		if !ok || at > until {
			break
		}
		w.now = max(w.now, at)
		w.step(Tick{})
	}
	w.now = until
}

// breath is how long nothing happens: mostly a moment.
func (w *world) breath() time.Duration {
	switch w.src.intN(20) {
	case 0:
		return time.Duration(w.src.intN(12000)) * ms
	case 1, 2, 3, 4:
		return time.Duration(w.src.intN(1500)) * ms
	case 5, 6:
		return 0
	}
	return time.Duration(w.src.intN(200)) * ms
}

// run is one call of so many events, then left alone until it has ended.
func (w *world) run(events int) {
	w.step(Answered{
		Greeting: sample(w, []string{"", "Hello.", "Hello, how can I help?"}), Locked: w.chance(1, 4), PreCall: w.chance(1, 4),
		Gate: Gate(max(0, w.src.intN(6)-3)), //nolint:gosec // 0 to 2
	})
	for range events {
		w.pass(w.breath())
		w.random()
	}
	if w.voice {
		w.step(VoiceEnd{At: w.now})
	}
	w.step(Final{})
	w.finish()
	w.kept()
}

// finish is a shell that does its work: replies sound, models are silent.
func (w *world) finish() {
	w.step(Hold{false})
	w.step(Mute{false})
	w.step(TransferResult{ID: "t"})
	for range 200 {
		if w.m.Call() == Ended {
			return
		}
		for _, id := range slices.Sorted(maps.Keys(w.running)) {
			w.step(ToolDone{ID: id})
		}
		for g := Gen(1); g <= w.m.gen; g++ {
			if w.live[g] {
				w.step(LLMDone{G: g, Words: true})
			}
			if w.live[g] {
				w.step(Fed{g, true})
			}
		}
		if f := w.front; f != 0 && !w.started[f] {
			w.step(Started{f})
		}
		w.pass(2 * time.Second)
		if f := w.front; f != 0 && w.started[f] && !w.paused {
			w.step(Played{f})
		}
	}
}
