//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// becomes is what testdata/sipp/campaign.xml does with a number, by its last two
// digits, and what the attempt is to be taken for.
func becomes(n int) fate {
	switch n %= 100; {
	case n < 40:
		return fate{does: "busy", outcome: dialer.OutcomeBusy}
	case n < 60:
		return fate{does: "no answer", outcome: dialer.OutcomeNoAnswer}
	case n < 75:
		return fate{does: "no such number", outcome: dialer.OutcomeInvalid}
	case n < 85:
		return fate{does: "declined", outcome: dialer.OutcomeRejected}
	case n < 90: // the first gateway has congestion
		return fate{does: "busy at the second gateway", outcome: dialer.OutcomeBusy}
	case n < 97:
		return fate{does: "silence", outcome: dialer.OutcomePerson, by: dialer.ByUnsure}
	}
	return []fate{
		{does: "person", outcome: dialer.OutcomePerson, by: dialer.ByHuman},
		{does: "mailbox", outcome: dialer.OutcomeVoicemail, by: dialer.ByMachine},
		{does: "screening", outcome: dialer.OutcomeScreening, by: dialer.ByScreening},
	}[n-97]
}

// leaveIt is what the mailbox of a campaign says before its beep.
const leaveIt = "leave a message after the tone"

// wordsOf are what the callees of testdata/sipp/campaign.xml say, by what they are.
func wordsOf(words map[string][]int16) map[string][]int16 {
	pause := make([]int16, 4000) // 0.5 s
	return map[string][]int16{
		"person":    slices.Concat(pause, words[helloPerson]),
		"mailbox":   slices.Concat(pause, words[leaveIt], pause, sine(beepHz, 8000, 600*time.Millisecond)),
		"screening": slices.Concat(pause, words[screenSays]),
	}
}

// gatewayOf is SIPp as a carrier's gateway, whose callees speak the words; invites
// are its calls by the number that was dialled.
func gatewayOf(t *testing.T, script, addr string, words map[string][]int16) (invites func() map[string]int) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"person", "mailbox", "screening"} {
		line := make([]byte, 20*8000) // of 20 s: no call is as long
		codec.EncodeMuLaw(line, slices.Concat(words[name], make([]int16, len(line)-len(words[name]))))
		write(t, filepath.Join(dir, name+".ulaw"), string(line))
	}
	p := start(t, 4*time.Minute, dir, needs(t, "sipp", "sip-tester"), "-sf", script, "-i", addr, "-p", "5060", "-mi", addr,
		"-mp", "6000", "-nostdin", "-trace_msg", "-message_file", "messages", "-trace_err", "-error_file", "errors",
		"-watchdog_minor_threshold", "30000", "-watchdog_major_threshold", "60000") // a busy machine is no fault of the script
	p.listens(t, addr)
	first := regexp.MustCompile(`(?s)\nINVITE sip:(\+?[0-9]+)@.*?\nCall-ID: ([^\r]+)\r`)
	return func() map[string]int {
		b, err := os.ReadFile(filepath.Join(dir, "messages"))
		if err != nil {
			t.Fatal(err)
		}
		seen, out := map[string]bool{}, map[string]int{}
		for _, m := range first.FindAllStringSubmatch(string(b), -1) {
			if !seen[m[2]] { // else it came again, on the way that UDP is
				seen[m[2]] = true
				out[m[1]]++
			}
		}
		return out
	}
}

// listed makes a campaign of a stopped engine's store run.
func (e *engine) listed(t *testing.T, contacts int, cps float64) (id string) {
	t.Helper()
	s := e.opened(t)
	defer e.shut(t, s)
	return listedIn(t, s, contacts, cps)
}

// listedIn makes a campaign of a store run.
func listedIn(t *testing.T, s *store.Store, contacts int, cps float64) (id string) {
	t.Helper()
	c, err := s.CreateCampaign(t.Context(), "test", dialer.Campaign{
		Name: "spring", Agent: "support", Trunk: "carrier", Concurrency: 100, CPS: cps, Zone: "Europe/Berlin",
		Retries:  dialer.Retries{By: map[dialer.Outcome]dialer.Retry{dialer.OutcomeCongestion: {}}},
		Breakers: dialer.Breakers{Failed: 1, Abandoned: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	list := make([]dialer.Contact, contacts)
	for i := range list {
		list[i].Number = fmt.Sprintf("+4930%07d", i*37%contacts) // what becomes of them is mixed
	}
	if _, err := s.AddContacts(t.Context(), c.ID, list); err != nil {
		t.Fatal(err)
	}
	if _, err := s.StartCampaign(t.Context(), "test", c.ID); err != nil {
		t.Fatal(err)
	}
	return c.ID
}

func (e *engine) opened(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(e.dir, "calls.db")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (e *engine) shut(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// again starts a stopped or killed engine.
func (e *engine) again(t *testing.T) {
	t.Helper()
	e.process = start(t, 4*time.Minute, e.dir, command(t, "patchcord"), "serve", "-c", filepath.Join(e.dir, "patchcord.yaml"))
	eventually(t, 30*time.Second, "the engine is ready", func() bool { return e.logged("ready") })
}

// campaignRun is a campaign against two gateways of SIPp.
type campaignRun struct {
	contacts  int
	cps       float64
	config    string             // of the engine
	agent     string             // who is called support
	words     map[string][]int16 // of those who are called, as gatewayOf has them
	meanwhile func(*engine)      // done while it runs; nil: nothing
}

// campaignOf runs it to its end.
func campaignOf(t *testing.T, r campaignRun) (
	e *engine, tried map[string]int, all []store.Contact, dials map[string][]store.Dial,
) {
	t.Helper()
	script, err := filepath.Abs("testdata/sipp/campaign.xml")
	if err != nil {
		t.Fatal(err)
	}
	refuses, err := os.ReadFile("testdata/sipp/refuses.xml")
	if err != nil {
		t.Fatal(err)
	}
	busy := filepath.Join(t.TempDir(), "busy.xml")
	write(t, busy, strings.ReplaceAll(string(refuses), "STATUS", "486 Busy Here"))
	one, two := ourAddr(), ourAddr()
	invites, second := gatewayOf(t, script, one, r.words), gatewayOf(t, busy, two, nil)
	e = serve(t, r.config+"dialing: {allow: [\"+4930\"]}\n", map[string]string{"support.yaml": r.agent})
	e.wants(t, "/v1/trunks", fmt.Sprintf(`{"name":"carrier","gateways":["sip:%s","sip:%s"],"probe":"off"}`, one, two))
	e.stop(t)
	id := e.listed(t, r.contacts, r.cps)
	e.again(t)
	if r.meanwhile != nil {
		r.meanwhile(e)
	}
	eventually(t, 3*time.Minute, "the campaign is completed", func() bool {
		talk(500 * time.Millisecond) // to read so long a log is work
		return e.logged("campaign completed")
	})
	e.stop(t)
	s := e.opened(t)
	defer e.shut(t, s)
	every := store.ContactFilter{Campaign: id, Page: store.Page{Limit: store.All}}
	if all, _, err = s.Contacts(t.Context(), every); err != nil {
		t.Fatal(err)
	}
	dials = map[string][]store.Dial{}
	for _, k := range all {
		if dials[k.ID], err = s.Dials(t.Context(), k.ID); err != nil {
			t.Fatal(err)
		}
	}
	tried = invites()
	for number, n := range second() {
		if n > tried[number] {
			t.Errorf("%s was dialled %d times at the second gateway, and %d times at the first", number, n, tried[number])
		}
	}
	return e, tried, all, dials
}

// loudIn is what of a sound is no silence, and where that begins and ends.
func loudIn(pcm []int16) (loud []int16, begin, end int) {
	for at := 0; at+160 <= len(pcm); at += 160 {
		if w := pcm[at : at+160]; rms(w) > 50 {
			if loud = append(loud, w...); end == 0 {
				begin = at
			}
			end = at + 160
		}
	}
	return loud, begin, end
}

// heardBy is what a callee of SIPp's heard before it had said its words and after, by
// the engine's recording. A busy machine sends late, and never less: what is between
// is left out.
func (e *engine) heardBy(t *testing.T, d *store.Dial, words []int16) (before, after []int16) {
	t.Helper()
	channels, rate, err := readWAV(filepath.Join(e.dir, "recordings", string(d.Call)+".wav"))
	if err != nil || len(channels) != 2 || rate != 8000 {
		t.Fatalf("%d channels of %d Hz: %v", len(channels), rate, err)
	}
	_, from, to := loudIn(words)
	_, begin, end := loudIn(channels[0])
	if off := end - begin - (to - from); off < -rate/2 || off > rate/2 {
		t.Errorf("what it said took %d samples, and was %d", end-begin, to-from)
	}
	before, _, _ = loudIn(channels[1][:end])
	after, _, _ = loudIn(channels[1][end:])
	return before, after
}

// TestPeerSIPpCampaign: a list is dialled against SIPp as the carrier, which does
// with each number what the script says: the outcome of each contact is that, and no
// attempt had two INVITEs. Congestion goes to the next gateway within the attempt.
// Some who are called speak: a person is greeted, a mailbox gets its message once its
// beep is over, and an assistant that screens the call is told why it is called.
func TestPeerSIPpCampaign(t *testing.T) {
	needsSpeech(t)
	const contacts = 2000
	phrases := filepath.Join(t.TempDir(), "phrases")
	write(t, phrases, sentences([]string{helloPerson, leaveIt, screenSays}))
	words := wordsOf(spoken(t, helloPerson, leaveIt, screenSays))
	e, tried, all, dials := campaignOf(t, campaignRun{
		contacts: contacts, cps: 25, words: words,
		config: `llm: {default: plain, plain: {type: "null", text: "I have made a note of that for you."}}
stt: {default: local, local: {type: pocketsphinx, phrases: "` + phrases + `", reject: 0.01}} # to tell three apart
tts: {default: plain, plain: {type: "null", first_byte: 50ms, tone: 440}}
`,
		agent: "name: support\nprompt: p\ngreeting: \"Good day, this is the parcel service, how can I help you?\"\n" +
			"voicemail_detection: true\nvoicemail_message: \"" + boxMessage + "\"\n",
	})
	table := map[string]int{}
	for i, k := range all {
		got := dials[k.ID]
		if len(got) != 1 || tried[k.Number] != 1 {
			t.Errorf("%s: %d attempts and %d INVITEs, want one of each", k.Number, len(got), tried[k.Number])
			continue
		}
		var n int
		if _, err := fmt.Sscanf(k.Number, "+4930%d", &n); err != nil {
			t.Fatal(i, err)
		}
		f, d := becomes(n), got[0]
		table[fmt.Sprintf("%-26s | %-11s | %-11s | %d | %-9s", f.does, f.outcome, d.Outcome, d.SIP, d.AnsweredBy)]++
		if d.Outcome != f.outcome || d.AnsweredBy != f.by || d.MessageLeft != (f.does == "mailbox") {
			t.Errorf("%s, %s: %s by %q (%d, %s), message left %v; want %s by %q", k.Number, f.does, d.Outcome, d.AnsweredBy, d.SIP, d.Why,
				d.MessageLeft, f.outcome, f.by)
		}
		if len(words[f.does]) > 0 {
			before, after := e.heardBy(t, &d, words[f.does])
			judgeCallee(t, k.Number, f, before, after)
		}
	}
	t.Log("contacts | the script                 | is          | was found   | SIP | answered by")
	for _, line := range slices.Sorted(maps.Keys(table)) {
		t.Logf("%8d | %s", table[line], line)
	}
	if len(all) != contacts {
		t.Errorf("%d contacts, want %d", len(all), contacts)
	}
}
