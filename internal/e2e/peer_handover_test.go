//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
)

// asks is a SIPp that calls the engine and asks to be handed over: rest is what it
// does then, with words put for placeholders.
func (e *engine) asks(t *testing.T, rest string, r sippRun, words ...string) (messages string) {
	t.Helper()
	text := ""
	for _, file := range []string{"transfer.xml", rest + ".part"} {
		b, err := os.ReadFile(filepath.Join("testdata/sipp", file))
		if err != nil {
			t.Fatal(err)
		}
		text = strings.Replace(text+string(b), "<!-- REST -->\n</scenario>\n", "", 1)
	}
	script := filepath.Join(t.TempDir(), rest+".xml")
	write(t, script, strings.NewReplacer(append(words, "DESK", "1", "MEDIA", "[auto_media_port]", "FROM", "4930111")...).
		Replace(text)+"</scenario>\n")
	r.scenario, r.to = script, e.sip
	return sipp(t, r)
}

// desks is a SIPp at an address of its own that takes any number of calls by a
// scenario, with words put for placeholders.
func desks(t *testing.T, scenario string, extra []string, words ...string) (uri string, p *process) {
	t.Helper()
	program := needs(t, "sipp", "sip-tester")
	b, err := os.ReadFile(filepath.Join("testdata/sipp", scenario+".xml"))
	if err != nil {
		t.Fatal(err)
	}
	dir, addr := t.TempDir(), ourAddr()
	script := filepath.Join(dir, scenario+".xml")
	write(t, script, strings.NewReplacer(words...).Replace(string(b)))
	p = start(t, 45*time.Minute, dir, append([]string{
		program, "-sf", script, "-i", addr, "-p", "5060", "-mi", addr, "-mp", "6000", "-nostdin",
		"-trace_err", "-error_file", "errors",
	}, extra...)...)
	p.listens(t, addr)
	return "sip:desk@" + addr + ":5060", p
}

// asksByKey presses the two keys that ask for a kind of transfer to a desk.
func (p *phone) asksByKey(kind, desk int) {
	p.t.Helper()
	for _, key := range []int{kind, desk} {
		p.do("sndcode", strconv.Itoa(key))
		talk(400 * time.Millisecond)
	}
}

// TestPeerBaresipIsReferred: a foreign phone is sent to another by REFER and calls
// it; what it tells of that is followed, our call ends at once when it has worked,
// and the two hear each other (T-10).
func TestPeerBaresipIsReferred_T10(t *testing.T) {
	t.Parallel()
	caller, target := startPhone(t, "PCMU", callerTone), startPhone(t, "PCMU", targetTone)
	e := (&frontDesk{desks: []string{target.aor}}).serve(t)
	caller.do("dial", "sip:4930123456@"+e.sip)
	caller.await(5*time.Second, "CALL_ESTABLISHED")
	talk(1500 * time.Millisecond)
	caller.asksByKey(1, 1)
	target.await(10*time.Second, "CALL_ESTABLISHED")
	ended := e.awaits(t, 5*time.Second, "call.ended", "end_reason=transferred")
	answered := e.awaits(t, time.Second, "transfer.finished", "result=answered")
	if d := ended.when(t).Sub(answered.when(t)); d > 200*time.Millisecond {
		t.Errorf("our call ended %v after the transfer was done", d)
	}
	var stages []string
	for _, ev := range named(e.read(t), "transfer.progress") {
		stages = append(stages, ev.text("status"))
	}
	t.Logf("stages: %v", stages)
	if len(stages) < 2 || stages[0] != "refer" {
		t.Errorf("stages %v, want refer and what the phone told", stages)
	}
	talk(3 * time.Second)
	e.freed(t, 0)
	caller.do("hangup", "")
	target.await(5*time.Second, "CALL_CLOSED")
	pcm, rate := caller.quit()
	wantTone(t, "the caller", pcm, rate, targetTone, callerTone, 2500*time.Millisecond)
	pcm, rate = target.quit()
	wantTone(t, "the target", pcm, rate, callerTone, targetTone, 2500*time.Millisecond)
	e.stop(t)
}

// TestPeerSIPpReferIsRefused: a peer that offers REFER and refuses it has its caller
// bridged within 2 s; each hears the other (T-10).
func TestPeerSIPpReferIsRefused_T10(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"405 Method Not Allowed", "501 Not Implemented", "403 Forbidden", "603 Decline"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			target := startPhone(t, "PCMU", targetTone)
			e := (&frontDesk{desks: []string{target.aor}}).serve(t)
			media := openSocket(t, ourAddr(), callerTone)
			e.asks(t, "transfer_refused", sippRun{}, "KIND", "1", "STATUS", status, "HOLD", "4000",
				"MEDIA", strconv.Itoa(media.port), "ALLOW", "INVITE, ACK, BYE, CANCEL, INFO, REFER, NOTIFY",
				"[media_ip]", media.host)
			refused := e.awaits(t, time.Second, "transfer.progress", "status=refer_refused").when(t)
			joined := e.awaits(t, time.Second, "transfer.progress", "status=joined").when(t)
			t.Logf("bridged %v after the refusal", joined.Sub(refused))
			if joined.Sub(refused) > 2*time.Second {
				t.Errorf("bridged %v after the refusal, want 2 s at most", joined.Sub(refused))
			}
			e.awaits(t, 5*time.Second, "call.ended", "end_reason=hangup")
			target.await(5*time.Second, "CALL_CLOSED")
			e.freed(t, 0)
			pcm, rate := media.ear.heard()
			wantTone(t, "the caller", pcm, rate, targetTone, callerTone, 2500*time.Millisecond)
			pcm, rate = target.quit()
			wantTone(t, "the target", pcm, rate, callerTone, targetTone, 2500*time.Millisecond)
			e.stop(t)
		})
	}
}

// TestPeerSIPpReplaces: where both ends of a warm transfer are on a trunk that joins
// calls over there, the caller is sent to whoever has taken it, in the place of the
// call that asked them, and both of ours end (T-10, RFC 3891).
func TestPeerSIPpReplaces_T10(t *testing.T) {
	t.Parallel()
	caller := ourAddr()
	desk, p := desks(t, "desk_replaces", []string{
		"-m", "2", "-timeout", "60", "-timeout_error", "-trace_msg", "-message_file", "messages",
	})
	_, at, _ := strings.Cut(desk, "@")
	at, _, _ = strings.Cut(at, ":")
	e := (&frontDesk{desks: []string{desk}, warm: ", accept: key, trunk: pbx"}).serve(t)
	e.wants(t, "/v1/trunks", fmt.Sprintf(`{"name":"pbx","gateways":["%s"],"allow":["%s"],"replaces":true,"probe":"off"}`,
		strings.Replace(desk, "desk@", "", 1), caller))
	e.asks(t, "transfer_replaces", sippRun{from: caller}, "KIND", "2", "PLACE", at, "HOLD", "500", "PATIENCE", "4000",
		"ALLOW", "INVITE, ACK, BYE, CANCEL, INFO, REFER, NOTIFY")
	if code, err := p.wait(); code != 0 || err != nil {
		why, _ := os.ReadFile(filepath.Join(p.cmd.Dir, "errors"))
		t.Errorf("the desk: exit %d, %v\n%s", code, err, tail(string(why), 1500))
	}
	e.awaits(t, 5*time.Second, "transfer.finished", "result=answered")
	e.awaits(t, 5*time.Second, "call.ended", "end_reason=transferred")
	var stages []string
	for _, ev := range named(e.read(t), "transfer.progress") {
		stages = append(stages, ev.text("status"))
	}
	if !slices.Contains(stages, "refer") || slices.Contains(stages, "joined") {
		t.Errorf("stages %v, want a REFER and no bridge", stages)
	}
	b, err := os.ReadFile(filepath.Join(p.cmd.Dir, "messages"))
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`(?m)^Call-ID: (\S+)\r?$`).FindStringSubmatch(string(b))[1] // of the first message
	from := regexp.MustCompile(`(?m)^From: .*;tag=(\S+?)\r?$`).FindStringSubmatch(string(b))[1]
	to := regexp.MustCompile(`(?m)^To: .*;tag=(\S+?)\r?$`).FindStringSubmatch(string(b))[1]
	want := "Replaces: " + call + ";to-tag=" + to + ";from-tag=" + from
	if !strings.Contains(string(b), want) {
		t.Errorf("no %q in what the desk got:\n%s", want, tail(string(b), 6000))
	}
	e.freed(t, 0)
	e.stop(t)
}

// asksABaresip is a caller of ours that asks by keys for a foreign phone, which
// answers and says nothing for a while; asked is the mark of the keys in what the
// caller hears.
func asksABaresip(t *testing.T, keys string, quiet time.Duration) (e *engine, caller *party, target *phone, asked int) {
	t.Helper()
	needsSpeech(t)
	target = startPhone(t, "PCMU", targetTone, phoneKeys{quiet: quiet})
	e = (&frontDesk{desks: []string{target.aor}, voice: localVoice}).serve(t)
	caller = openLine(t, 0, nil).calls(t, e, "4930111222")
	talk(1500 * time.Millisecond)
	asked = caller.mark()
	caller.press(t, keys)
	target.await(10*time.Second, "CALL_ESTABLISHED")
	return e, caller, target, asked
}

// TestPeerBaresipTakesAWarmTransfer: while a foreign phone is asked, the caller hears music and
// the phone who calls and why, in words; it takes the call by a key, and the two
// hear each other. A second one declines, and the caller is told so (T-10).
func TestPeerBaresipTakesAWarmTransfer_T10(t *testing.T) {
	t.Parallel()
	e, caller, target, asked := asksABaresip(t, "21", 14*time.Second)
	briefed := time.Now()
	e.awaits(t, 5*time.Second, "transfer.progress", "status=briefing")
	talk(11 * time.Second)
	accepted := caller.mark()
	target.do("sndcode", "1")
	e.awaits(t, 3*time.Second, "transfer.progress", "status=joined")
	caller.says.Store(true)
	talk(max(0, 14*time.Second-time.Since(briefed)) + 3*time.Second)
	caller.hangUp(t)
	target.await(5*time.Second, "CALL_CLOSED")
	e.freed(t, 0)

	heard, rate := caller.since(asked)
	if h := listen(heard[:accepted-asked], rate, musicTone, targetTone); h.tone < 9*time.Second || h.other > 0.01 {
		t.Errorf("the caller heard music for %v, want 9 s at least", h.tone)
	}
	wantTone(t, "the caller", heard[accepted-asked:], rate, targetTone, callerTone, 2500*time.Millisecond)
	heard, rate = target.quit()
	wantTone(t, "the target", heard, rate, callerTone, targetTone, 2500*time.Millisecond)
	told := words(t, heard[:min(len(heard), 11*rate)], rate)
	t.Logf("the target heard: %s", told)
	for _, want := range []string{"you have a call from", "wants to buy a red boat", "one to take it or two to decline"} {
		if !strings.Contains(told, want) {
			t.Errorf("the target did not hear %q", want)
		}
	}
	e.stop(t)
}

// TestPeerBaresipDeclinesAWarmTransfer: the agent is with the caller again, and
// says why (T-10, conv:C6).
func TestPeerBaresipDeclinesAWarmTransfer_T10_convC6(t *testing.T) {
	t.Parallel()
	e, caller, target, _ := asksABaresip(t, "21", 14*time.Second)
	talk(2 * time.Second)
	target.do("sndcode", "2")
	e.awaits(t, 3*time.Second, "transfer.finished", "result=declined", "reason=by key")
	target.await(3*time.Second, "CALL_CLOSED")
	declined := caller.mark()
	talk(5 * time.Second)
	caller.hangUp(t)
	e.freed(t, 0)
	heard, rate := caller.since(declined)
	told := words(t, heard, rate)
	t.Logf("the caller heard: %s", told)
	if !strings.Contains(told, "cannot take your call just now how else can i help") {
		t.Errorf("the caller heard %q", told)
	}
	if h := listen(heard[min(len(heard), rate):], rate, musicTone, 0); h.tone > 0 {
		t.Errorf("the caller heard music for %v beside it", h.tone)
	}
	e.stop(t)
}

// outcomes of a transfer: what a desk does, what it comes to, and what the caller
// hears of it in the agent's words, without the first of them, which the clocks may
// cut; of a monitored transfer in the model's.
var transferOutcomes = []struct{ name, status, result, heard, monitored string }{
	{"busy", "486 Busy Here", "busy", "line is busy just now", "sales are busy"},
	{"no answer", "", "no_answer", "is answering there just now", "sales did not answer"},
	{"declined", "603 Decline", "declined", "cannot take your call just now", "sales turned you down"},
	{"bad number", "404 Not Found", "failed", "number cannot be reached", "there is no such number"},
	{"congestion", "503 Service Unavailable", "failed", "get a line just now", "there is no free line"},
	{"answered", "200 OK", "answered", "", ""},
}

// TestPeerTransferTable: every kind of transfer and what becomes of it at foreign
// telephones, by what the caller hears (T-10, T-11).
func TestPeerTransferTable_T10_T11_convC6(t *testing.T) {
	t.Parallel()
	needsSpeech(t)
	desk, clerk := openDesk(t, 500*time.Millisecond, 6*time.Second)
	clerk.accepts = 3 * time.Second
	d := &frontDesk{voice: localVoice}
	for _, o := range transferOutcomes {
		switch {
		case o.result == "answered":
			d.desks = append(d.desks, desk)
		case o.status == "":
			uri, _ := desks(t, "uasringing", nil)
			d.desks = append(d.desks, uri)
		default:
			uri, _ := desks(t, "refuses", nil, "STATUS", o.status)
			d.desks = append(d.desks, uri)
		}
	}
	e := d.serve(t)
	line := openLine(t, 0, nil)
	type cell struct {
		*party
		kind, outcome int
		id            string
		asked         int
		at            time.Time // of asked
	}
	var cells []*cell
	for k := range handOvers {
		for o := range transferOutcomes {
			from := fmt.Sprintf("4930100%d%d", k, o)
			cells = append(cells, &cell{party: line.calls(t, e, from), kind: k, outcome: o, id: e.callOf(t, from)})
		}
	}
	talk(1500 * time.Millisecond)
	var wg sync.WaitGroup
	for _, c := range cells {
		c.asked, c.at = c.mark(), time.Now()
		wg.Go(func() { c.press(t, fmt.Sprintf("%d%d", c.kind+1, c.outcome+1)) })
	}
	wg.Wait()
	for _, c := range cells {
		e.awaits(t, 15*time.Second, "transfer.finished", "call_id="+c.id)
		if transferOutcomes[c.outcome].result == "answered" {
			c.says.Store(true)
		}
	}
	talk(7 * time.Second)
	for _, c := range cells {
		c.hangUp(t)
	}
	e.freed(t, 0)
	for _, c := range cells {
		kind, o := handOvers[c.kind], transferOutcomes[c.outcome]
		finished := e.awaits(t, time.Second, "transfer.finished", "call_id="+c.id)
		if got := finished.text("result"); got != o.result {
			t.Errorf("%s, %s: it came to %q, want %q", kind, o.name, got, o.result)
		}
		heard, rate := c.since(c.asked)
		cut := min(len(heard), audio.Samples(finished.when(t).Sub(c.at), rate))
		before, after := heard[:cut], heard[cut:]
		music, rings := tones(before, rate, musicTone), tones(before, rate, 440, 480) // audio.RingbackUS
		want, what := o.heard, "the target"
		if kind == "monitored" {
			want = o.monitored
		}
		if o.result == "answered" {
			wantTone(t, kind+" caller", heard, rate, targetTone, callerTone, 1500*time.Millisecond)
		} else if what = words(t, after, rate); !strings.Contains(what, want) {
			t.Errorf("%s, %s: the caller heard %q, want %q", kind, o.name, what, want)
			for _, ev := range e.read(t) {
				if ev.text("call_id") == c.id {
					t.Logf("%v", ev)
				}
			}
		}
		quiet := silence(after, rate)
		t.Logf("| %s | %s | %s | ringing %v, music %v | %s, after %v |", kind, o.name, finished.text("result"), rings, music,
			what, quiet)
		if kind != "monitored" && o.result != "answered" && quiet > time.Second { // the model's words take what they take
			t.Errorf("%s, %s: nothing was heard for %v", kind, o.name, quiet)
		}
		waits := o.status == "" || o.result == "answered"
		sound := map[string]time.Duration{"cold": rings, "warm": music}[kind]
		if waits && kind != "monitored" && sound < 300*time.Millisecond {
			t.Errorf("%s, %s: the caller waited with ringing for %v, music for %v", kind, o.name, rings, music)
		}
		if d := tones(after, rate, musicTone) + tones(after, rate, 440, 480); d > 200*time.Millisecond {
			t.Errorf("%s, %s: ringing or music went on for %v", kind, o.name, d)
		}
	}
	e.stop(t)
}

// silence is how long nothing is heard at first.
func silence(pcm []int16, rate int) (d time.Duration) {
	for window := rate / 50; len(pcm) >= window && rms(pcm[:window]) < 50; pcm = pcm[window:] {
		d += 20 * time.Millisecond
	}
	return d
}

// tones is how much of a sound is little but some tones, in windows of 100 ms.
func tones(pcm []int16, rate int, hz ...float64) (d time.Duration) {
	for window := rate / 10; len(pcm) >= window; pcm = pcm[window:] {
		sum := 0.0
		for _, f := range hz {
			sum += share(pcm[:window], rate, f)
		}
		if rms(pcm[:window]) > 50 && sum > 0.85 {
			d += 100 * time.Millisecond
		}
	}
	return d
}

// TestPeerBaresipGoesAndTheAgentIsBack: when the target of a monitored transfer
// hangs up, the caller has the agent again (T-11, conv:C6).
func TestPeerBaresipGoesAndTheAgentIsBack_T11(t *testing.T) {
	t.Parallel()
	e, caller, target, _ := asksABaresip(t, "31", 6*time.Second)
	e.awaits(t, 10*time.Second, "transfer.progress", "status=joined")
	joined := caller.mark()
	caller.says.Store(true)
	talk(6 * time.Second) // who is put through is told so first, for one or two
	caller.says.Store(false)
	target.do("hangup", "")
	e.awaits(t, 3*time.Second, "transfer.returned", "reason=target_left", "ends=false")
	back := caller.mark()
	talk(3 * time.Second)
	heard, rate := caller.since(joined)
	wantTone(t, "the caller", heard[:back-joined], rate, targetTone, callerTone, 1500*time.Millisecond)
	if told := words(t, heard[back-joined:], rate); !strings.Contains(told, "welcome back") {
		t.Errorf("the caller heard %q", told)
	}
	heard, rate = target.quit()
	wantTone(t, "the target", heard, rate, callerTone, targetTone, 2500*time.Millisecond)
	caller.hangUp(t)
	e.freed(t, 0)
	e.stop(t)
}
