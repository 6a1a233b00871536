package wsmedia

import (
	"strconv"
	"time"

	"github.com/patchcord/patchcord/audio"
)

const (
	// Lead is how far ahead of real time a carrier is given sound, at most: what
	// it has when a packet is late. Above 120 ms a caller hears us too long after
	// an interruption.
	Lead = 60 * time.Millisecond

	// markEvery is how much sound lies between two marks.
	markEvery = 200 * time.Millisecond
	// overdue is when a mark that was not sent back is not waited for any more.
	overdue = 10 * time.Second
	// maxMarks are those on their way at a time: overdue of them, and some.
	maxMarks = 64
)

// far is the sound that a carrier has of us and has not played. Places are
// samples since the stream began. Time is that of the leg's clock.
type far struct {
	rate  int
	given int64
	// full is when all would be played that was given, were it there at once: the
	// sender's view, which paces.
	full time.Duration

	// heard was played when last looked at; from there it is played on as time
	// goes, up to the first mark that has not come back.
	heard int64
	since time.Duration

	marks []mark // oldest first
	names int    // of marks, so far
	last  int64  // place of the last mark
}

// mark is a place that the carrier tells of when it has played up to there.
type mark struct {
	name string
	at   int64
	sent time.Duration
}

// ahead is how much longer what was given lasts, if the carrier has it all.
func (f *far) ahead(now time.Duration) time.Duration { return max(0, f.full-now) }

// give adds sound that is on its way to the carrier.
func (f *far) give(samples int, now time.Duration) {
	if f.position(now) >= f.given { // it had nothing left: what comes now is played from now on
		f.heard, f.since = f.given, now
	}
	f.given += int64(samples)
	f.full = max(f.full, now) + audio.Duration(samples, f.rate)
}

// due says whether a mark shall follow what was given; end, that no more comes
// for now.
func (f *far) due(end bool) bool {
	since := f.given - f.last
	return len(f.marks) < maxMarks && since > 0 && (end || since >= int64(audio.Samples(markEvery, f.rate)))
}

// next is the name of a mark behind all that was given.
func (f *far) next(now time.Duration) string {
	f.names++
	m := mark{strconv.Itoa(f.names), f.given, now}
	f.marks, f.last = append(f.marks, m), f.given
	return m.name
}

// back takes a mark that was sent back. One that is not known was cleared.
func (f *far) back(name string, now time.Duration) {
	for i, m := range f.marks {
		if m.name == name {
			f.heard, f.since = m.at, now
			f.marks = append(f.marks[:0], f.marks[i+1:]...)
			return
		}
	}
}

// position is the sample that is heard now: the last mark that came back and the
// time since, but never beyond a mark that has not come back.
func (f *far) position(now time.Duration) int64 {
	for len(f.marks) > 0 && now-f.marks[0].sent > overdue {
		f.marks = append(f.marks[:0], f.marks[1:]...)
	}
	p := min(f.given, f.heard+int64(audio.Samples(max(0, now-f.since), f.rate)))
	if len(f.marks) > 0 {
		p = min(p, f.marks[0].at-1)
	}
	return max(p, f.heard)
}

// unheard is how much was given and not heard.
func (f *far) unheard(now time.Duration) time.Duration {
	return audio.Duration(int(f.given-f.position(now)), f.rate)
}

// flush forgets what was not heard, and tells how much that was.
func (f *far) flush(now time.Duration) time.Duration {
	n := f.unheard(now)
	f.heard, f.since = f.position(now), now
	f.given, f.last, f.full = f.heard, f.heard, now
	f.marks = f.marks[:0]
	return n
}
