package sip

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/sdp"
)

// onInfo is an INFO: keys in one of the two forms telephones send, anything
// else is refused, but for an empty one, which asks whether we are here.
func (g *leg) onInfo(in incoming) {
	body := in.req.Body()
	if len(body) == 0 {
		g.respond(in, 200, "OK")
		return
	}
	kind := ""
	if h := in.req.ContentType(); h != nil {
		kind, _, _ = strings.Cut(string(*h), ";")
	}
	d, ok := parseDigit(lower(strings.TrimSpace(kind)), string(body))
	if !ok {
		g.respond(in, 415, "Unsupported Media Type", field{"Accept", "application/dtmf-relay, application/dtmf"})
		return
	}
	g.respond(in, 200, "OK")
	g.digit(d)
}

// maxDigit bounds how long a key of an INFO may say it was pressed.
const maxDigit = 10 * time.Second

// parseDigit reads
//
//	application/dtmf-relay    Signal=5\r\nDuration=160\r\n     ms
//	application/dtmf          5
func parseDigit(kind, body string) (telephony.Digit, bool) {
	d := telephony.Digit{Source: "info", Duration: 100 * time.Millisecond}
	switch kind {
	case "application/dtmf":
		return d, setKey(&d, body)
	case "application/dtmf-relay":
	default:
		return d, false
	}
	found := false
	for line := range strings.Lines(body) {
		name, value, _ := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		switch lower(strings.TrimSpace(name)) {
		case "signal":
			if found = setKey(&d, value); !found {
				return d, false
			}
		case "duration":
			if ms, err := strconv.ParseUint(value, 10, 31); err == nil {
				d.Duration = min(time.Duration(ms)*time.Millisecond, maxDigit)
			}
		}
	}
	return d, found
}

// setKey reads one key: itself, or 10 and 11 for * and #, 12 to 15 for A to D.
func setKey(d *telephony.Digit, s string) bool {
	s = strings.ToUpper(strings.TrimSpace(s))
	if n, err := strconv.Atoi(s); err == nil && len(s) == 2 && n >= 10 && n <= 15 {
		s = "*#ABCD"[n-10 : n-9]
	}
	if len(s) != 1 || !strings.Contains("0123456789*#ABCD", s) {
		return false
	}
	d.Key = s[0]
	return true
}

// digitFilter makes one of a key that comes by two ways.
type digitFilter struct {
	key    byte
	source string
	until  time.Time
}

// digitWindow is how far apart the same key may come by two ways.
const digitWindow = 100 * time.Millisecond

// fresh reports whether d is not the same key again by another way.
func (f *digitFilter) fresh(d telephony.Digit, now time.Time) bool {
	if d.Key == f.key && d.Source != f.source && now.Before(f.until) {
		return false
	}
	// One way tells a key when it goes down, another when it comes up.
	f.key, f.source, f.until = d.Key, d.Source, now.Add(digitWindow+min(d.Duration, time.Second))
	return true
}

func (g *leg) digit(d telephony.Digit) {
	if g.digits.fresh(d, time.Now()) {
		g.emit(d)
	}
}

// The ways of a key.
const (
	keysByEvent = "rfc4733"
	keysByInfo  = "info"
	keysByTone  = "inband"
)

// keysBy is how keys of ours travel: as the trunk wants it, else as
// telephone-events where they were negotiated and as tones where not.
func (g *leg) keysBy(n sdp.Negotiated) string {
	switch {
	case g.trunk != nil && g.trunk.DTMF != "" && g.trunk.DTMF != "auto":
		return g.trunk.DTMF
	case n.EventPT < 0:
		return keysByTone
	}
	return keysByEvent
}

// SendDigits sends keys, in the way that Info().Keys tells.
func (g *leg) SendDigits(ctx context.Context, digits string, tone telephony.Tone) error {
	digits = strings.ToUpper(digits)
	if i := strings.IndexFunc(digits, func(r rune) bool { return !strings.ContainsRune("0123456789*#ABCD", r) }); i >= 0 {
		return fmt.Errorf("sip: send digits: %q is no key, want 0 to 9, *, #, A to D", digits[i])
	}
	var m *media
	by := ""
	err := g.ask(ctx, func(done func(error)) {
		if g.media == nil || !g.media.applied {
			done(errors.New("sip: send digits: no sound yet"))
			return
		}
		m, by = g.media, g.keysBy(g.media.current)
		done(nil)
	})
	switch {
	case err != nil:
		return err
	case by == keysByEvent:
		return m.session.SendDigits(ctx, digits, tone)
	case by == keysByTone:
		return m.session.SendTones(ctx, digits, tone)
	}
	length, gap := tone.Duration, tone.Gap
	set(&length, 100*time.Millisecond)
	set(&gap, 50*time.Millisecond)
	for i := range len(digits) {
		if err := g.sendInfo(ctx, digits[i], length); err != nil {
			return err
		}
		select {
		case <-time.After(length + gap):
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-g.ctx.Done():
			return context.Cause(g.ctx)
		}
	}
	return nil
}

// sendInfo sends one key by INFO.
func (g *leg) sendInfo(ctx context.Context, key byte, length time.Duration) error {
	return g.ask(ctx, func(done func(error)) {
		if g.state != stateUp {
			done(errors.New("sip: send digits: the call is not up"))
			return
		}
		req := g.dialog.request(sip.INFO)
		req.AppendHeader(sip.NewHeader("Content-Type", "application/dtmf-relay"))
		req.SetBody([]byte(fmt.Sprintf("Signal=%c\r\nDuration=%d\r\n", key, length.Milliseconds())))
		g.do(&g.dialog, req, func(res *sip.Response, err error) {
			switch {
			case err != nil:
				done(err)
			case res.StatusCode >= 300:
				done(fmt.Errorf("sip: send digits: INFO: %d %s", res.StatusCode, clean(res.Reason)))
			default:
				done(nil)
			}
		})
	})
}
