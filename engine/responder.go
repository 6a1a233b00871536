package engine

import (
	"time"

	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/engine/turn"
)

// responder gives a call's replies their words and their sound: a model and a
// voice one after the other (cascade), or one that does both (realtime). The
// machine, the playout and the transcript do not know which.
type responder interface {
	// ask starts the model's part of a reply.
	ask(e turn.StartReply)
	// say speaks a fixed text.
	say(e turn.Say)
	// over tells what was heard of a reply that has ended.
	over(r *reply, h playout.Heard, text heard)
	// typed tells the model what the caller did not say to it: keys.
	typed(text string)
	// know tells it what nobody said.
	know(text string)
	// settled gives it the results that tools have come to.
	settled()
	// tick does what is due; next is when something is, zero for never.
	tick(now time.Time)
	next() time.Time
}

// cascade is a recogniser, a language model and a voice.
type cascade struct{ s *session }

var _ responder = cascade{}

func (c cascade) ask(e turn.StartReply)             { c.s.ask(e) }
func (c cascade) say(e turn.Say)                    { c.s.sayText(e) }
func (c cascade) over(*reply, playout.Heard, heard) { c.s.shorten(); c.s.changed() }
func (c cascade) typed(string)                      {} // it is asked with the whole conversation
func (c cascade) know(string)                       {}
func (c cascade) settled()                          {}
func (c cascade) tick(time.Time)                    {}
func (c cascade) next() time.Time                   { return time.Time{} }
