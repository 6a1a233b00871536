package wsmedia

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/internal/testkit/carrier"
	"github.com/patchcord/patchcord/telephony"
)

// stay answers and stays until the call ends.
var stay = handler(func(ctx context.Context, leg telephony.Leg) {
	if leg.Answer(ctx) == nil {
		<-ctx.Done()
	}
})

// SEC-3, SEC-14: who is not the carrier gets no stream, and the log says why.
func TestWhoIsNotTheCarrierIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, stay, func(_ *Config, all map[telephony.TrunkID]Account) {
			all["bare"] = Account{Trunk: "bare", Type: "twilio"}
			all["sub"] = Account{Trunk: "sub", Type: "twilio", AuthToken: token, AccountSID: "AC2"}
			all["odd"] = Account{Trunk: "odd", Type: "other", AuthToken: token}
		})
		form := s.carrier(carrier.Twilio).Form("CA1", "+4930111", "+4930123456")
		for _, c := range []struct {
			name, trunk string
			adjust      func(c *carrier.Carrier)
			form        url.Values
			status      int
			log         string
		}{
			{"another token", "twilio", func(c *carrier.Carrier) { c.AuthToken = "other" }, form, 403, "by another auth_token"},
			{"another key", "telnyx", func(c *carrier.Carrier) {
				c.Kind, c.Key = carrier.Telnyx, append(append([]byte{}, telnyxKey[32:]...), telnyxKey[:32]...)
			}, form, 403, "by another key than public_key"},
			{"no trunk", "nobody", func(*carrier.Carrier) {}, form, 404, `no trunk "nobody"`},
			{"no secret", "bare", func(*carrier.Carrier) {}, form, 404, "the trunk has no auth_token"},
			{"no such carrier", "odd", func(*carrier.Carrier) {}, form, 404, `the type "other"`},
			{"another account", "sub", func(*carrier.Carrier) {}, form, 403, "not of the trunk's account_sid"},
			{"no call", "twilio", func(*carrier.Carrier) {}, url.Values{"From": {"+49"}}, 400, "without a CallSid"},
		} {
			time.Sleep(refusalEvery)
			far := s.carrier(carrier.Twilio)
			far.Webhook = publicURL + "/v1/trunks/" + c.trunk + "/voice"
			c.adjust(far)
			_, _, err := far.Ask(t.Context(), c.form)
			if err == nil || !strings.Contains(err.Error(), fmt.Sprint(c.status)) {
				t.Errorf("%s: %v", c.name, err)
			}
			s.logged(c.log)
		}
		time.Sleep(refusalEvery)
		stream, _, err := s.carrier(carrier.Twilio).Ask(t.Context(), form)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name, url string
			h         http.Header
			status    int
			log       string
		}{
			{"no signature", stream, http.Header{}, 403, "there is no X-Twilio-Signature"},
			{"another address", stream, signedFor(stream + "x"), 403, "of another address"},
			{"another token", stream[:len(stream)-8] + "AAAAAAAA", signedFor(stream[:len(stream)-8] + "AAAAAAAA"), 403, "none that we gave"},
			{"a page", stream, http.Header{
				"X-Twilio-Signature": signedFor(stream)["X-Twilio-Signature"], "Origin": {"https://evil.example"},
			}, 403, `a page of "https://evil.example" asks`},
		} {
			time.Sleep(refusalEvery)
			if status := s.handshake(c.url, c.h); status != c.status {
				t.Errorf("%s: %d", c.name, status)
			}
			s.logged(c.log)
		}
	})
}

func signedFor(address string) http.Header {
	return http.Header{"X-Twilio-Signature": {carrier.Signature(token, address, nil)}}
}

// handshake opens a WebSocket and closes it; it gives the status of the answer.
func (s *server) handshake(address string, h http.Header) int {
	s.t.Helper()
	d := websocket.Dialer{NetDialContext: s.dial}
	ws, res, err := d.DialContext(s.t.Context(), address, h)
	if err == nil {
		ws.Close()
	}
	if res == nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	return res.StatusCode
}

// logged wants a line, at warning or above, that says something.
func (s *server) logged(what string) {
	s.t.Helper()
	synctest.Wait()
	var lines []string
	for _, e := range s.logs.All() {
		line := fmt.Sprint(e.Message, " ", e.ContextMap())
		if strings.Contains(line, what) {
			return
		}
		lines = append(lines, line)
	}
	s.t.Errorf("nothing says %q:\n%s", what, strings.Join(lines, "\n"))
}

func TestAStreamIsOpenedOnceAndWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, stay)
		far := s.carrier(carrier.Twilio)
		ask := func(id string) string {
			t.Helper()
			stream, _, err := far.Ask(t.Context(), far.Form(id, "+4930111", "+4930123456"))
			if err != nil {
				t.Fatal(err)
			}
			return stream
		}
		first, late := ask("CA1"), ask("CA2")
		ws, err := far.Open(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		if status := s.handshake(first, signedFor(first)); status != 403 {
			t.Errorf("a second stream at one address: %d", status)
		}
		s.logged("or it was used before")
		call, err := far.Begin(ws, "CA1", "PCMU", "+4930111", "+4930123456")
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s.Calls() != 1 {
			t.Errorf("%d calls are up", s.Calls())
		}
		_ = call.Hangup(t.Context(), telephony.Cause{})
		time.Sleep(tokenLife + time.Second)
		if status := s.handshake(late, signedFor(late)); status != 403 {
			t.Errorf("a minute later: %d", status)
		}
		s.logged("more than a minute ago")
		// Of another call than the address was given to.
		ws, err = far.Open(t.Context(), ask("CA3"))
		if err != nil {
			t.Fatal(err)
		}
		if call, err = far.Begin(ws, "CA4", "PCMU", "", ""); err != nil {
			t.Fatal(err)
		}
		for range call.Events() { // until it is over
		}
		s.logged(`it is of the call "CA4"`)
		_ = call.Hangup(t.Context(), telephony.Cause{})
	})
}

func TestCallsAreAdmittedBeforeTheyAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []telephony.Info
		refuse := map[string]telephony.Cause{
			"+1": {Reason: telephony.ReasonOverload}, "+2": {Reason: telephony.ReasonBadNumber, Text: "the number is nobody's"},
		}
		var got telephony.Info
		s := serve(t, handler(func(ctx context.Context, leg telephony.Leg) {
			got = leg.Info()
			_ = leg.Answer(ctx)
		}), func(c *Config, all map[telephony.TrunkID]Account) {
			a := all["twilio"]
			a.Accepts = func(name string) bool { return strings.HasPrefix(name, "X-") }
			all["twilio"] = a
			c.Number = func(_ telephony.TrunkID, n string) string { return strings.TrimPrefix(n, "00") }
			c.Accept = func(i telephony.Info) (telephony.Cause, bool) {
				seen = append(seen, i)
				cause, no := refuse[i.To]
				return cause, !no
			}
		})
		far := s.carrier(carrier.Twilio)
		var refused *carrier.Refused
		if _, err := far.Call(t.Context(), "+4930111", "+1"); !errors.As(err, &refused) || refused.Reason != "busy" {
			t.Errorf("no room: %v", err)
		}
		if _, err := far.Call(t.Context(), "+4930111", "+2"); !errors.As(err, &refused) || refused.Reason != "rejected" {
			t.Errorf("nobody's number: %v", err)
		}
		s.logged("the number is nobody's")
		far.Webhook += "?X-Campaign=spring&other=1"
		form := far.Form("CA9", "00+4930111", "+4930123456")
		form.Set("SipHeader_X-Account", "4711\r\nX-Evil: 1")
		form.Set("CallerName", "Jane Doe")
		stream, _, err := far.Ask(t.Context(), form)
		if err != nil {
			t.Fatal(err)
		}
		ws, err := far.Open(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		c, err := far.Begin(ws, "CA9", "PCMU", "", "")
		if err != nil {
			t.Fatal(err)
		}
		for range c.Events() { // the handler returns at once
		}
		if len(seen) != 4 { // the last one twice: its webhook, its stream
			t.Errorf("%d calls were asked about", len(seen))
		}
		if h := fmt.Sprint(got.Headers); h != "map[X-Account:4711X-Evil: 1 X-Campaign:spring]" {
			t.Errorf("the fields are %s", h)
		}
		if got.From != "+4930111" || got.To != "+4930123456" || got.FromName != "Jane Doe" || got.Trunk != "twilio" ||
			got.Transport != "ws/twilio" || got.Codec != "PCMU" || got.Format.Rate != 8000 {
			t.Errorf("the call is %+v", got)
		}
		_ = c.Hangup(t.Context(), telephony.Cause{})
		s.Drain(true)
		if _, err := far.Call(t.Context(), "+4930111", "+3"); !errors.As(err, &refused) || refused.Reason != "busy" {
			t.Errorf("draining: %v", err)
		}
	})
}

// SEC-12: what a peer may send, and for how long it may send nothing.
func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan telephony.Cause, 8) // a call each
		s := serve(t, handler(func(ctx context.Context, leg telephony.Leg) {
			_ = leg.Answer(ctx)
			for e := range leg.Events() {
				if e, ok := e.(telephony.Ended); ok {
					ended <- e.Cause
				}
			}
		}))
		far := s.carrier(carrier.Twilio)
		open := func(id string) *websocket.Conn {
			t.Helper()
			stream, _, err := far.Ask(t.Context(), far.Form(id, "+4930111", "+4930123456"))
			if err != nil {
				t.Fatal(err)
			}
			ws, err := far.Open(t.Context(), stream)
			if err != nil {
				t.Fatal(err)
			}
			return ws
		}
		gone := func(ws *websocket.Conn) time.Duration {
			begun := time.Now()
			for {
				if _, _, err := ws.ReadMessage(); err != nil {
					ws.Close()
					return time.Since(begun)
				}
			}
		}
		if d := gone(open("CA1")); d != startWait {
			t.Errorf("a stream that never starts is open for %s", d)
		}
		const begin = `{"event":"start","start":{"streamSid":"MZ1","accountSid":"` + account +
			`","callSid":"%s","mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}}}`
		start := func(id string) *websocket.Conn {
			t.Helper()
			ws := open(id)
			if err := ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, begin, id)); err != nil {
				t.Fatal(err)
			}
			return ws
		}
		ws := start("CA2")
		ws.SetPingHandler(func(string) error { return nil }) // a peer that is gone answers nothing
		if d := gone(ws); d < idleTimeout || d > idleTimeout+2*time.Second {
			t.Errorf("a stream that is silent is open for %s", d)
		}
		if c := <-ended; c.Text != "the stream broke off" || !c.Remote {
			t.Errorf("it ended by %+v", c)
		}
		for name, text := range map[string]string{
			"more than 64 KiB": strings.Repeat("x", maxMessage+1),
			"binary":           "",
		} {
			ws, kind := start("CA"+name), websocket.TextMessage
			if name == "binary" {
				kind = websocket.BinaryMessage
			}
			go gone(ws)
			_ = ws.WriteMessage(kind, []byte(text))
			if c := <-ended; !c.Remote {
				t.Errorf("%s: %+v", name, c)
			}
		}
		// Nonsense is counted and passed over.
		ws = start("CA3")
		synctest.Wait() // it is answered
		for _, text := range []string{"{", "[]", `{"event":"media","media":{"payload":"!"}}`, `{"event":"sing"}`, `{"event":"stop"}`} {
			if err := ws.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if c := <-ended; c.Reason != telephony.ReasonNormal || c.Text != "" {
			t.Errorf("nonsense and stop: %+v", c)
		}
		gone(ws)
		big := strings.NewReader(strings.Repeat("x", maxBody+1))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, far.Webhook, big)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&http.Client{Transport: &http.Transport{DialContext: s.dial, DisableKeepAlives: true}}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("a webhook of more than 64 KiB: %d", res.StatusCode)
		}
		time.Sleep(time.Second) // the server lingers on such a connection
	})
}

func TestAPanicEndsItsCallAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, handler(func(ctx context.Context, leg telephony.Leg) {
			if leg.Info().To == "+4930666" {
				panic("of the handler")
			}
			_ = leg.Answer(ctx)
			<-ctx.Done()
		}))
		other := s.call(carrier.Twilio)
		bad, err := s.carrier(carrier.Twilio).Call(t.Context(), "+4930111", "+4930666")
		if err != nil {
			t.Fatal(err)
		}
		for range bad.Events() { // until it is over
		}
		s.logged("handler panicked")
		synctest.Wait()
		if s.Calls() != 1 {
			t.Errorf("%d calls are up, want the other one", s.Calls())
		}
		_ = other.Hangup(t.Context(), telephony.Cause{})
		_ = bad.Hangup(t.Context(), telephony.Cause{})
	})
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	acc := func(telephony.TrunkID) (Account, bool) { return Account{}, false }
	for _, c := range []Config{
		{},
		{Account: acc},
		{Handler: stay},
		{Account: acc, Handler: stay, PublicURL: "voice.example.com"},
		{Account: acc, Handler: stay, PublicURL: "ftp://voice.example.com"},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

// A call has its room at the trunk from its webhook on, once however often the
// carrier asks, until its stream ends or none comes.
func TestCallsTakeTheirTrunksRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		up, most := 0, 2
		s := serve(t, stay, func(c *Config, _ map[telephony.TrunkID]Account) {
			c.Enter = func(id telephony.TrunkID) bool {
				mu.Lock()
				defer mu.Unlock()
				if id != "twilio" || up == most {
					return false
				}
				up++
				return true
			}
			c.Leave = func(telephony.TrunkID) {
				mu.Lock()
				defer mu.Unlock()
				up--
			}
		})
		taken := func(want int, when string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if up != want {
				t.Errorf("%s: %d rooms are taken, want %d", when, up, want)
			}
		}
		far := s.carrier(carrier.Twilio)
		ask := func(id string) (string, error) {
			stream, _, err := far.Ask(t.Context(), far.Form(id, "+4930111", "+4930123456"))
			return stream, err
		}
		call := s.call(carrier.Twilio)
		taken(1, "a call is up")
		first, err := ask("CA2")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ask("CA2"); err != nil {
			t.Errorf("asked again: %v", err)
		}
		taken(2, "a second one's webhook has come, twice")
		var refused *carrier.Refused
		if _, err := ask("CA3"); !errors.As(err, &refused) || refused.Reason != "busy" {
			t.Errorf("a third one: %v", err)
		}
		s.logged("max_calls of the trunk are up")
		ws, err := far.Open(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		taken(2, "its stream is open")
		ws.Close()
		time.Sleep(30 * time.Second)
		taken(2, "the stream broke off, the other address is good for a minute")
		time.Sleep(tokenLife)
		taken(1, "that is over as well")
		_ = call.Hangup(t.Context(), telephony.Cause{})
		taken(0, "the first one has ended")
		if _, err := ask("CA4"); err != nil {
			t.Errorf("there is room again: %v", err)
		}
		taken(1, "a call without a stream")
		time.Sleep(tokenLife)
		taken(0, "it never came")
	})
}

// What went wrong last with a trunk is told, of trunks that there are.
func TestFaultsAreToldByTrunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, stay)
		for _, name := range []string{"twilio", "nobody"} {
			far := s.carrier(carrier.Twilio)
			far.AuthToken, far.Webhook = "other", publicURL+"/v1/trunks/"+name+"/voice"
			if _, _, err := far.Ask(t.Context(), far.Form("CA1", "+4930111", "+4930123456")); err == nil {
				t.Error("another token was taken")
			}
		}
		if text, at := s.Fault("twilio"); !strings.Contains(text, "webhook refused: X-Twilio-Signature is of another") ||
			!at.Equal(time.Now()) {
			t.Errorf("%q at %s", text, at)
		}
		for _, id := range []telephony.TrunkID{"telnyx", "nobody"} {
			if text, at := s.Fault(id); text != "" || !at.IsZero() {
				t.Errorf("%s: %q at %s", id, text, at)
			}
		}
	})
}
