package bridge

import (
	"errors"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

// ErrKeysWait is the answer to a key that so many others are before.
var ErrKeysWait = errors.New("bridge: press: more than 32 keys wait to be sent")

// longestKey bounds a press that is sent again: what follows it waits so long.
const longestKey = time.Second

// KeysTo sets who is sent the keys that Press is told of, nobody by default.
// While it is somebody, what the party says is cut out where it is the tones of
// a key, so that none arrives twice.
func (p *Party) KeysTo(others ...*Party) {
	p.change(func(c *patch) {
		c.keysTo = nil
		for _, o := range others {
			if o != p {
				c.keysTo = append(without(c.keysTo, o), o)
			}
		}
	})
}

// Press is a key the party pressed, as its leg's events tell. It is sent to
// those that KeysTo named by SendDigits, after those before it and as long as
// it was held. Press does not wait for that.
func (p *Party) Press(d telephony.Digit) error {
	c := p.patch.Load()
	if c.muted {
		return nil
	}
	var err error
	for _, o := range c.keysTo {
		select {
		case o.keys <- d:
		default:
			err = ErrKeysWait
		}
	}
	return err
}

// sendKeys sends the party what others press, until it leaves.
func (p *Party) sendKeys() {
	for {
		select {
		case d := <-p.keys:
			err := p.leg.SendDigits(p.ctx, string(d.Key), telephony.Tone{Duration: min(d.Duration, longestKey)})
			if p.ctx.Err() != nil {
				return
			}
			if p.b.cfg.Pressed != nil {
				p.b.cfg.Pressed(p, d.Key, err)
			}
		case <-p.ctx.Done():
			return
		}
	}
}
