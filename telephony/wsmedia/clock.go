package wsmedia

import (
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/telephony"
)

const (
	// catchUp is how many frames of a clock that was held up are made up for at
	// once; beyond, time moves on without them.
	catchUp = 2
	// pauseTicks without sound end a stretch of speech: a mark follows it.
	pauseTicks = 2
	// How long no sound may come until that is told, at first and later; as of
	// RTP. Carriers send silence too.
	silentFirst = 15 * time.Second
	silentLater = 30 * time.Second
)

// speaker is the outgoing half of a leg. It belongs to the clock.
type speaker struct {
	enc   codec.Codec
	rate  int
	frame []int16
	wire  []byte
	quiet int // ticks without sound
}

// clock is the leg's media plane: each 20 ms one frame to the sink and, as a
// rule, one from the source. Its deadlines are absolute, for a ticker drops
// ticks of who is late.
func (l *leg) clock() {
	defer l.failed()
	info := l.Info()
	spec, _ := codecNamed(info.Codec, info.Format.Rate)
	sp := &speaker{enc: coder(spec), rate: spec.Rate}
	sp.frame = make([]int16, audio.Samples(audio.FrameTime, spec.Rate))
	sp.wire = make([]byte, bytesOf(spec, len(sp.frame)))
	timer := time.NewTimer(0)
	defer timer.Stop()
	missing := false
	due := l.now()
	for at := time.Duration(0); ; at += audio.FrameTime {
		select {
		case <-timer.C:
		case <-l.over:
			return
		}
		now := l.now()
		if late := now - due; late > catchUp*audio.FrameTime {
			late -= late % audio.FrameTime
			due, at = due+late, at+late
		}
		l.mu.Lock()
		sink, source := l.sink, l.source
		l.mu.Unlock()
		pcm, lost := l.in.next(due)
		if sink != nil {
			sink.Hear(audio.Frame{PCM: pcm, Rate: sp.rate, At: at, Lost: lost})
		}
		l.speak(sp, source)
		missing = l.watch(now, missing)
		due += audio.FrameTime
		timer.Reset(max(0, due-l.now()))
	}
}

// failed ends a call whose sink or source panicked, and no other (SEC-1).
func (l *leg) failed() {
	if r := recover(); r != nil {
		l.log.Error("wsmedia: call ended by panic", zap.Any("panic", r), zap.Stack("stack"))
		l.emit(telephony.MediaFailed{})
		l.end(telephony.Cause{Reason: telephony.ReasonFailed, Text: "internal error"})
	}
}

// watch tells of a caller who sends nothing any more, once.
func (l *leg) watch(now time.Duration, told bool) bool {
	silent, heard := l.in.silent(now)
	limit := silentLater
	if !heard {
		limit = silentFirst
	}
	if silent < limit {
		return false
	}
	if !told {
		l.emit(telephony.MediaLost{Silent: silent})
	}
	return true
}

// speak pulls the source's frame. Where the carrier has less than Lead it pulls
// one more: a stretch of speech begins with a little in hand. Nothing is pulled
// while the carrier has Lead, or the network takes nothing.
func (l *leg) speak(sp *speaker, source audio.Source) {
	for range 2 {
		l.mu.Lock()
		keys, flushes, now := l.keys, l.flushes, l.now()
		room := l.far.ahead(now)+audio.FrameTime <= Lead+audio.FrameTime/2 && len(l.out.queue) < maxOut
		l.mu.Unlock()
		if !room {
			return
		}
		clear(sp.frame)
		sounds := false
		switch {
		case keys != nil:
			sounds = keys.next(sp.frame)
		case source != nil:
			sounds = source.Next(sp.frame)
		}
		l.mu.Lock()
		if flushes == l.flushes { // else it was pulled for what has been flushed since
			l.sendLocked(sp, sounds)
		}
		if keys != nil && keys.over() {
			l.keys = nil
			close(keys.done)
		}
		l.mu.Unlock()
		if !sounds {
			return
		}
	}
}

// sendLocked gives the carrier a frame, and the marks that are due.
func (l *leg) sendLocked(sp *speaker, sounds bool) {
	now := l.now()
	if sounds {
		sp.quiet = 0
		n := sp.enc.Encode(sp.wire, sp.frame)
		l.far.give(len(sp.frame), now)
		l.out.put(func(dst []byte) []byte { return l.d.media(dst, l.stream, sp.wire[:n]) })
		l.sent++
	} else {
		sp.quiet++
	}
	if l.far.due(sp.quiet >= pauseTicks) {
		name := l.far.next(now)
		l.out.put(func(dst []byte) []byte { return l.d.mark(dst, l.stream, name) })
	}
}
