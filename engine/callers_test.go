package engine

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
)

// What a call tells of its caller, and the headers its trunk let in, are
// variables: above the agent's, below those the call was given.
func TestWhatTheCallTellsIsVariables(t *testing.T) {
	for _, tt := range []struct {
		name string
		info func(*telephony.Info)
		want string
	}{
		{"a plain call", func(*telephony.Info) {}, "+4930111/false//// none none"},
		{"a call that was passed on, with headers", func(i *telephony.Info) {
			i.FromURI, i.Headers = "sip:+4930111@h", map[string]string{"X-Order.Id": "4711", "X-TIER": "gold", "X-Given": "by the header"}
			i.Diverted = []telephony.Diversion{{Number: "+4930222", Reason: "no-answer"}, {Number: "+4930333", Reason: "away"}}
		}, "+4930111/false/sip:+4930111@h/+4930222/no-answer/ 4711 gold"},
		{"a withheld number", func(i *telephony.Info) { i.From = telephony.Anonymous }, "anonymous/true//// none none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := prepare(t, &agent.Agent{
					Name: "a", Variables: map[string]any{"x_order_id": "none", "x_tier": "none"},
					Prompt: "{{caller_phone}}/{{caller_anonymous}}/{{caller_uri}}/{{diverted_from}}/{{diversion_reason}}/ {{x_order_id}} {{x_tier}}",
				}, says("Hello."))
				c.leg.Describe(tt.info)
				c.start().wait(500*ms).say("hello there", time.Second).wait(4 * time.Second).hangUp()
				if got := c.llm.Asked()[0].Messages[0].Content; got != tt.want {
					t.Errorf("prompt %q, want %q", got, tt.want)
				}
				if got := c.log.last.Variables["x_order_id"]; strings.Contains(tt.want, "4711") != (got == "4711") {
					t.Errorf("the record has x_order_id %v", got)
				}
			})
		})
	}
}

// How a call is encrypted, and who is there when the other side has passed it on,
// stand in its events and its record.
func TestWhoIsThereAndHowEncryptedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, says("Hello."))
		k.leg.Describe(func(i *telephony.Info) { i.SRTP = "AEAD_AES_128_GCM" })
		k.start().wait(2*time.Second).want(`"event":"call.answered"`, `"srtp":"AEAD_AES_128_GCM"`)
		k.leg.Describe(func(i *telephony.Info) { i.From, i.SRTP, i.Codec = "+4930777", "", "G722" })
		k.leg.Send(telephony.PartyChanged{By: "refer"})
		k.wait(time.Second).want(`"event":"call.passed_on"`, `"by":"refer","from":"+4930777","to":"+4930123456"`)
		k.hangUp()
		if r := k.log.last; r.SRTP != "" || r.Codec != "G722" || r.From != "+4930111" {
			t.Errorf("the record is %+v", r)
		}
	})
}
