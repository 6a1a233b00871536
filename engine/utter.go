package engine

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/tts"
)

const (
	// Of a voice's silence before its first sound, where it is longer than
	// leadSilence, leadKept is left (conv:S9): the caller waits for the rest.
	leadSilence = 80 * time.Millisecond
	leadKept    = 20 * time.Millisecond
	firstByte   = 2 * time.Second
	// dryTell is how long a caller waits within a sentence until it is told
	// of, dryGiveUp until another voice is asked for the rest (conv:S10): it
	// is heard before three seconds are over.
	dryTell   = time.Second
	dryGiveUp = 2500 * time.Millisecond
	// tooLong is how many times as long as its text a sentence may sound, and
	// shortest what is taken for that length at least (conv:S12).
	tooLong  = 3
	shortest = time.Second
)

// errTooLong tells that a voice went on after its text (conv:S12).
var errTooLong = errors.New("the voice said far more than its text: cut")

// errOtherVoice ends what a voice was saying that has failed before.
var errOtherVoice = errors.New("another voice goes on")

// utterance is one piece on its way through the voices.
type utterance struct {
	seg   int
	s     *segment
	lead  int // samples of silence before it
	from  int // bytes of what is said that are in the playout for good
	start int // samples of the segment then
	total int // samples of the segment now
}

// say speaks one piece by the first voice that can. Where one breaks off, the
// next goes on behind the last word that came whole: with the whole piece where
// nothing of it was heard.
func (v *voice) say(ctx context.Context, seg int, s *segment, lead int) {
	u := &utterance{seg: seg, s: s, lead: lead}
	v.mu.Lock()
	i := v.from
	v.mu.Unlock()
	if len(v.voices) == 0 { // an agent that only a model speaks for
		s.lose()
		return
	}
	again := true // the last voice is asked twice, where that may help
	for {
		err := v.attempt(ctx, i, u)
		if err == nil || ctx.Err() != nil {
			return
		}
		if errors.Is(err, errOtherVoice) {
			v.takeBack(u)
			v.mu.Lock()
			i = v.from
			v.mu.Unlock()
			continue
		}
		name, next := v.voices[i].name, ""
		last := i == len(v.voices)-1
		if last && again && passes(err) {
			again, last = false, false
		}
		if !last {
			i = v.failed(i, seg)
			next = v.voices[i].name
		}
		v.work.put(voiceErr{v.g, name, err, next})
		if last { // what came of it is said, and the next piece may fare better
			s.lose()
			return
		}
		v.takeBack(u)
	}
}

// passes says whether the same voice may fare better at once.
func passes(err error) bool {
	var e *tts.Error
	return errors.As(err, &e) && e.Temporary && !errors.Is(err, errVoiceSlow)
}

// attempt lets one voice say what is left of a piece.
func (v *voice) attempt(ctx context.Context, i int, u *utterance) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	v.mu.Lock()
	moved := v.from > i
	if c := v.coming[u.seg]; c != nil {
		c.stop = stop
	}
	v.mu.Unlock()
	if moved { // it has failed meanwhile
		return errOtherVoice
	}
	err := guarded(func() error { return v.utter(ctx, v.voices[i], u) })
	if err != nil && errors.Is(context.Cause(ctx), errOtherVoice) {
		return errOtherVoice
	}
	return err
}

func (v *voice) key(nv namedVoice, text string) phraseKey {
	return phraseKey{nv.name, nv.voice, v.req.Language, text, v.rate}
}

// utter speaks what is left of a piece.
func (v *voice) utter(ctx context.Context, nv namedVoice, u *utterance) error {
	text := u.s.said.Text[u.from:]
	from := u.from + len(text) - len(strings.TrimLeft(text, " "))
	if text = strings.TrimSpace(text); text == "" {
		return nil
	}
	u.start = u.total
	if u.total == 0 && u.lead > 0 {
		u.total += v.put(u.seg, make([]int16, u.lead))
	}
	base := u.total
	u.s.speaks(nv.name, from, base)
	if pcm, words := v.cache.get(v.key(nv, text)); pcm != nil {
		u.s.told(words, from, base)
		v.push(ctx, u, pcm)
		return nil
	}
	most := audio.Samples(time.Duration(tooLong*float64(max(shortest, v.length(text)))), v.rate)
	var kept []int16
	var marks []wordMark
	err := v.sound(ctx, nv, text, func(pcm []int16, words []wordMark) error {
		u.s.told(words, from, base)
		over := u.total - base + len(pcm) - most
		pcm = pcm[:len(pcm)-min(max(0, over), len(pcm))]
		if v.keep != nil {
			kept, marks = append(kept, pcm...), append(marks, words...)
		}
		v.push(ctx, u, pcm)
		if over > 0 {
			return errTooLong
		}
		return nil
	})
	if errors.Is(err, errTooLong) {
		v.work.put(voiceErr{v.g, nv.name, err, ""})
		return nil
	}
	if err == nil && v.keep != nil {
		v.keep.put(v.key(nv, text), kept, marks)
	}
	return err
}

// push hands sound to the playout, most of a speculative reply's when it is
// adopted.
func (v *voice) push(ctx context.Context, u *utterance, pcm []int16) {
	first := !v.hasSounded()
	rest, pushed, ok := v.holdBack(ctx, u.seg, pcm)
	u.total += pushed
	if ok {
		u.total += v.put(u.seg, rest)
	}
	if first {
		runtime.Gosched() // the session first: a voice that has all its sound at once would keep it waiting
	}
}

// takeBack finds where to go on after a voice broke off, and takes back the
// sound behind that place which was not heard yet. That is where the voice
// began, where nothing was heard of it; of a voice that tells its words behind
// the last one that came whole; of another where it began, if less than a word
// was heard, or else a guess, rather a word too early.
func (v *voice) takeBack(u *utterance) {
	if u.total == u.start {
		return
	}
	keep, place := u.start, u.from
	end, samples := u.s.lastWord(u.from, u.total)
	switch said := v.out.Heard(uint64(v.g), u.seg) - u.start; {
	case said <= 0: // all of it is said by the next
	case samples > u.start:
		keep, place = samples, end
	case said > audio.Samples(aWord, v.rate):
		keep = u.total
		place += u.s.estimate(keep-u.start, u.from, v.rate, v.cps(v.name(u.s)))
	}
	was := u.total
	u.total = v.out.Withdraw(uint64(v.g), u.seg, keep)
	v.mu.Lock()
	v.sounds -= max(0, was-u.total)
	v.mu.Unlock()
	u.s.cutWords(place)
	u.from = place
}

// aWord is what is heard of a piece that is begun again all the same.
const aWord = 300 * time.Millisecond

func (v *voice) name(s *segment) string {
	name, _ := s.spokenBy()
	return name
}

// sound asks a voice for one sentence and hands its sound over at the call's
// rate, without the silence before it; words lie where they are then.
func (v *voice) sound(
	ctx context.Context, nv namedVoice, text string, give func([]int16, []wordMark) error,
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slow := &patience{give: func() { cancel(errVoiceSlow) }}
	if v.out != nil {
		slow.queued = func() time.Duration { return v.out.Progress(uint64(v.g)).Ready }
		slow.tell = func() { v.work.put(voiceDry{v.g, nv.name, dryTell}) }
	}
	slow.wait(false)
	defer slow.stop()
	req := v.req
	req.Text, req.Voice = text, nv.voice
	st, err := nv.p.Synthesize(ctx, req)
	if err != nil {
		return late(ctx, err)
	}
	defer st.Close() //nolint:errcheck // what failed is known already
	f := &fitter{rate: v.rate, lead: audio.Samples(leadSilence, v.rate), left: audio.Samples(leadKept, v.rate)}
	for {
		c, err := st.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			return late(ctx, err)
		}
		slow.stop() // what is done with it may take its time
		pcm, words := f.fit(c, err != nil)
		if len(pcm) > 0 || len(words) > 0 {
			if err := give(pcm, words); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
			slow.wait(f.total > 0)
		case f.total == 0:
			return errNoSound // conv:S11
		default:
			return nil
		}
	}
}

// patience is how long a voice's next sound is waited for. Before the first it
// is firstByte; within a sentence the caller's wait counts, not the voice's:
// it begins when all that came is said (conv:S10). The place of what is said
// stays where it is.
type patience struct {
	queued func() time.Duration // what can be said still; nil: nobody listens
	tell   func()               // that the caller waits
	give   func()               // the voice up

	mu    sync.Mutex // guards what follows
	timer *time.Timer
	on    bool
	begun bool // the first sound came
	told  bool
}

// wait begins to wait.
func (p *patience) wait(begun bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on, p.begun, p.told = true, begun, false
	d := firstByte
	switch {
	case begun && p.queued == nil:
		d = dryGiveUp
	case begun:
		d = p.queued() + dryTell
	}
	if p.timer == nil {
		p.timer = time.AfterFunc(d, p.fire)
		return
	}
	p.timer.Reset(d)
}

// stop ends the wait: something came, or nothing more is wanted.
func (p *patience) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on = false
	p.timer.Stop()
}

func (p *patience) fire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.on {
		return
	}
	if !p.begun || p.queued == nil || p.told && p.queued() == 0 {
		p.on = false
		p.give()
		return
	}
	left := p.queued()
	if left > 0 { // paused, or not yet said
		p.told = false
		p.timer.Reset(left + dryTell)
		return
	}
	p.told = true
	p.tell()
	p.timer.Reset(dryGiveUp - dryTell)
}

// late names sound that did not come in time.
func late(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errVoiceSlow) {
		return errVoiceSlow
	}
	return err
}

// fitter brings a voice's sound to the call's rate and takes the silence off
// its beginning.
type fitter struct {
	rate       int
	lead, left int // samples of silence that may be, and that are left of more
	rs         *audio.Resampler
	begun      bool    // its first sound is there
	silence    []int16 // before it: the last of it, lead samples and one at most
	cut        int     // samples of silence that were dropped
	total      int     // samples that were not
	words      []wordMark
}

// fit is what a chunk comes to; last tells that it is the end.
func (f *fitter) fit(c tts.Chunk, last bool) ([]int16, []wordMark) {
	pcm := c.PCM
	if len(pcm) > 0 && c.Rate != f.rate {
		if f.rs == nil {
			f.rs = audio.NewResampler(c.Rate, f.rate)
		}
		pcm = f.rs.Append(make([]int16, 0, len(pcm)*f.rate/max(c.Rate, 1)+1), pcm)
	}
	if last && f.rs != nil {
		pcm = f.rs.Flush(pcm)
	}
	if !f.begun {
		pcm = f.trim(pcm)
	}
	f.total += len(pcm)
	for _, w := range c.Words {
		f.words = append(f.words, wordMark{w.TextEnd, audio.Samples(w.End, f.rate)})
	}
	if !f.begun { // where they lie is known when the silence is over
		return pcm, nil
	}
	words := f.words
	f.words = nil
	for i := range words {
		words[i].samples = max(0, words[i].samples-f.cut)
	}
	return pcm, words
}

// trim drops silence at the start where it is too long, all but a little of it:
// nothing is left as long as there is no sound.
func (f *fitter) trim(pcm []int16) []int16 {
	if len(f.silence) > 0 {
		pcm = append(f.silence, pcm...)
	}
	at := slices.IndexFunc(pcm, func(x int16) bool { return x > faint || x < -faint })
	f.begun = at >= 0
	if !f.begun {
		at = len(pcm)
	}
	if f.begun && at > f.lead {
		n := at - f.left
		f.cut += n
		pcm = pcm[n:]
	}
	if f.begun {
		f.silence = nil
		return pcm
	}
	n := max(0, at-f.lead-1) // one more tells that it was too long
	f.cut += n
	f.silence = slices.Clone(pcm[n:])
	return nil
}

// faint is the loudest sample of a silence.
const faint = 300
