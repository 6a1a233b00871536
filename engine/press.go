package engine

import (
	"cmp"
	"context"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// keysSent tells the session of keys of ours.
type keysSent struct{ keys, as string }

// press sends keys, from a tool's goroutine (T-14): as telephone-events, or in
// the way that the leg has.
func (s *session) press(ctx context.Context, p tools.Press) error {
	err := s.leg.SendDigits(ctx, p.Keys, telephony.Tone{Duration: p.Duration, Volume: p.Volume})
	if err == nil {
		s.work.put(keysSent{p.Keys, cmp.Or(s.leg.Info().Keys, "rfc4733")})
	}
	return err
}
