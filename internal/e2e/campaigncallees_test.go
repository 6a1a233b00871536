//go:build e2e

package e2e

import (
	"cmp"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/dialer"
	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/sip"
)

// What those say whom a campaign calls, besides a person's and a mailbox's words.
const (
	leavesMe    = "please do not call me again"
	screenSays  = "please say your name and the reason for calling"
	screenStays = "thank you. please stay on the line"
)

// boxMessage is what a mailbox is told: 12 words of 300 ms.
const boxMessage = "Your parcel comes on Friday between nine and ten in the morning."

// fate is what a callee of the campaign does, and what it is to be taken for.
type fate struct {
	does    string
	outcome dialer.Outcome
	by      string
	heard   string // for the table
}

var fates = map[string]fate{
	"+49301000": {"optout", dialer.OutcomePerson, dialer.ByHuman, "the greeting, and a goodbye for good"},
	"+49301001": {"person", dialer.OutcomePerson, dialer.ByHuman, "the greeting, and an answer"},
	"+49301002": {"mailbox", dialer.OutcomeVoicemail, dialer.ByMachine, "the message behind the beep, whole"},
	"+49301003": {"screening", dialer.OutcomeScreening, dialer.ByScreening, "why it is called, behind its words"},
	"+49301004": {"mailbox", dialer.OutcomeVoicemail, dialer.ByMachine, "the message behind the beep, whole"},
	"+49301005": {"person", dialer.OutcomePerson, dialer.ByHuman, "the greeting, and an answer"},
}

// TestWhoAnswersACampaign dials a list over SIP whose people speak with the local
// voice: persons, who get a conversation (F-22), mailboxes, whose message is said once
// their beep is over (F-23), and an assistant that screens the call. One person asks
// not to be called again, by words in the call: from then on the number is on the
// list, and another campaign that has it calls it never (D-24).
func TestWhoAnswersACampaign(t *testing.T) {
	t.Parallel()
	needsSpeech(t)
	c := &callees{calls: make(chan calledCall, 16), does: map[string]string{}}
	for number, f := range fates {
		c.does[number] = f.does
	}
	c.sounds = spoken(t, helloPerson, asksPerson, mailboxSays, leavesMe, screenSays, screenStays)
	line := openLine(t, 440, func(cfg *sip.Config, _ *rtp.Config) { cfg.Handler = c })
	dir := t.TempDir()
	write(t, filepath.Join(dir, "phrases"), sentences(slices.Collect(maps.Keys(c.sounds))))
	write(t, filepath.Join(dir, "rules.yaml"), `not_understood: "Sorry, what was that?"
otherwise: "I can tell you when we are open."
rules:
  - {when: again, say: "I am sorry, and nobody will call you again. Goodbye.", end: true}
  - {when: open, say: "We are open from nine in the morning to six in the evening."}
`)
	e := serve(t, `llm: {default: rules, rules: {type: rules, file: "`+dir+`/rules.yaml"}}
stt: {default: local, local: {type: pocketsphinx, phrases: "`+dir+`/phrases"}}
tts: {default: plain, plain: {type: "null", first_byte: 50ms, tone: 440}}
dialing: {allow: ["+4930"]}
`, map[string]string{
		"herald.yaml": "name: herald\nprompt: p\ngreeting: \"Good day, this is the parcel service, how can I help you?\"\nvoicemail_detection: true\n",
	})
	e.wants(t, "/v1/trunks", `{"name":"carrier","gateways":["sip:`+line.addr+`"],"probe":"off"}`)
	e.stop(t)
	message := boxMessage
	numbers := slices.Sorted(maps.Keys(fates))
	s := e.opened(t)
	ids := map[string]string{}
	for _, camp := range []dialer.Campaign{
		{Name: "spring", Priority: 1, Voicemail: &message}, {Name: "autumn"},
	} {
		camp.Agent, camp.Trunk, camp.Concurrency, camp.CPS, camp.Zone = "herald", "carrier", 2, 1, "Europe/Berlin"
		camp.Retries = dialer.Retries{By: map[dialer.Outcome]dialer.Retry{dialer.OutcomeCongestion: {}}}
		made, err := s.CreateCampaign(t.Context(), "test", camp)
		if err != nil {
			t.Fatal(err)
		}
		ids[camp.Name] = made.ID
		list := make([]dialer.Contact, 0, len(numbers))
		for i, n := range numbers {
			if camp.Name == "spring" || i == 0 { // who asks not to be called again is on both
				list = append(list, dialer.Contact{Number: n, Due: time.Unix(int64(i), 0)})
			}
		}
		if _, err = s.AddContacts(t.Context(), made.ID, list); err == nil {
			_, err = s.StartCampaign(t.Context(), "test", made.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	e.shut(t, s)
	e.again(t)
	called := map[string]calledCall{}
	limit := time.After(2 * time.Minute)
	for len(called) < len(fates) {
		select {
		case call := <-c.calls:
			if _, twice := called[call.name]; twice {
				t.Errorf("%s was called twice", call.name)
			}
			called[call.name] = call
		case <-limit:
			t.Fatalf("%d of %d calls ended in time:\n%s", len(called), len(fates), tail(e.out.String(), 4000))
		}
	}
	for name, id := range ids {
		eventually(t, 30*time.Second, name+" is completed", func() bool {
			_, c := e.get(t, "/v1/campaigns/"+id)
			return c["status"] == "completed"
		})
	}
	e.stop(t)
	s = e.opened(t)
	defer e.shut(t, s)
	all, _, err := s.Contacts(t.Context(), store.ContactFilter{Campaign: ids["spring"], Page: store.Page{Limit: store.All}})
	if err != nil || len(all) != len(fates) {
		t.Fatal(len(all), err)
	}
	t.Log("number     | outcome    | answered by | what was heard")
	for _, k := range all {
		f, call := fates[k.Number], called[k.Number]
		dials, err := s.Dials(t.Context(), k.ID)
		if err != nil || len(dials) != 1 {
			t.Errorf("%s: %d attempts, %v", k.Number, len(dials), err)
			continue
		}
		d := dials[0]
		if d.Outcome != f.outcome || d.AnsweredBy != f.by || d.MessageLeft != (f.does == "mailbox") || d.OptOut != (f.does == "optout") {
			t.Errorf("%s, %s: %s by %s (%s), message left %v, opted out %v; want %s by %s", k.Number, f.does, d.Outcome, d.AnsweredBy, d.Why,
				d.MessageLeft, d.OptOut, f.outcome, f.by)
		}
		if at := cmp.Or(call.spoken, call.beep); at == 0 || at > len(call.pcm) {
			t.Errorf("%s, %s: heard %d samples, and had said its own after %d", k.Number, f.does, len(call.pcm), at)
		} else {
			judgeCallee(t, k.Number, f, call.pcm[:at], call.pcm[at:])
		}
		t.Logf("%s  | %-10s | %-11s | %s", k.Number, d.Outcome, d.AnsweredBy, f.heard)
	}
	other, _, err := s.Contacts(t.Context(), store.ContactFilter{Campaign: ids["autumn"], Page: store.Page{Limit: store.All}})
	if err != nil || len(other) != 1 {
		t.Fatal(len(other), err)
	}
	dials, err := s.Dials(t.Context(), other[0].ID)
	if err != nil || len(dials) != 0 || other[0].State != dialer.Blocked {
		t.Errorf("who asked not to be called again is %s (%s) in the other campaign, %d attempts, %v", other[0].State, other[0].Why,
			len(dials), err)
	}
	list, _, err := s.DNCs(t.Context(), store.DNCFilter{Page: store.Page{Limit: store.All}})
	if err != nil || len(list) != 1 || list[0].Number != numbers[0] {
		t.Errorf("the list of those not to be called: %+v, %v", list, err)
	}
}

// judgeCallee checks what one of them heard, before it had spoken and after.
func judgeCallee(t *testing.T, who string, f fate, before, after []int16) {
	t.Helper()
	early, late := listen(before, 8000, 440, beepHz), listen(after, 8000, 440, beepHz)
	least, most := 1500*time.Millisecond, time.Minute
	if f.does == "mailbox" {
		least, most = 3400*time.Millisecond, 3700*time.Millisecond
	}
	if early.tone > 0 || late.tone < least || late.tone > most {
		t.Errorf("%s, %s: heard %+v before it had spoken, then %+v", who, f.does, early, late)
	}
}
