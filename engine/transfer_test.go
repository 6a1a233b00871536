package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// germany lets calls through as the gate for dialling does with that prefix allowed
// and premium numbers denied; its own tests hold what else it refuses.
var germany = tools.Deps{MayDial: func(to string) error {
	if !strings.HasPrefix(to, "+49") || strings.HasPrefix(to, "+49900") {
		return errors.New("no prefix of dialing.allow fits")
	}
	return nil
}}

const sales = `{tool_type: transfer_call, config: {destinations: [
  {type: number, number: "+4930999888", description: "Sales team", message: "I put you through to sales."},
  {type: number, name: premium, number: "+49900123456", description: "A costly line"},
  {type: number, name: abroad, number: "+881612345678", description: "A satellite"}]}}`

// carried is what a call's transfers came to.
func transferring(t *testing.T, args string, carry bool) (c *call, carried *[]tools.Transfer) {
	t.Helper()
	carried = new([]tools.Transfer)
	c = prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, once("transfer_call", args), built(t, germany, sales)...)
	c.cfg.TransfersPerCall = 1
	if carry {
		c.cfg.Carry = func(_ context.Context, _ telephony.Leg, to tools.Transfer) error {
			*carried = append(*carried, to)
			time.Sleep(time.Second)
			return nil
		}
	}
	c.start().wait(2*time.Second).say("sales please", time.Second)
	return c, carried
}

// TestTransferTool_F09: to a destination of its list, after its message.
func TestTransferTool_F09(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, carried := transferring(t, `{"destination":"+4930999888"}`, true)
		c.over().want(`"announcement":"I put you through to sales."`, `"result":"ok"`, `"end_reason":"transferred"`)
		if n := len(*carried); n != 1 || (*carried)[0].To != "+4930999888" {
			t.Errorf("carried to %+v", *carried)
		}
		if got := c.said(); !slices.Equal(got, []string{"Hello.", "I put you through to sales."}) {
			t.Errorf("said %q", got)
		}
		if n := len(c.llm.Asked()); n != 1 {
			t.Errorf("the model was asked %d times", n)
		}
	})
}

// TestNothingElseIsDialled_SEC5: whatever a model asks for, no call goes where
// the maker or the gate does not want it.
func TestNothingElseIsDialled_SEC5(t *testing.T) {
	for _, to := range []string{
		"premium", "abroad", "+49900123456", "+881612345678", "+4930999888;phone-context=+1", "+4930999888?Replaces=x", "tel:+4930999888",
		"sip:user@evil.example", "sips:user@evil.example", "+1-900-555-0100", "+１２３４５", "+4930999888\r\nVia: x", "0900123456",
		"+4930999888,premium", " +4930999888", "+49 30 999888", "", "null", "*72+4930999888", "00881612345678", "+4930999888#",
		"sip:+4930999888@127.0.0.1", "+4930999888@evil.example", "+49309998880", "+493099988", "٤٩٣٠٩٩٩٨٨٨", "+4930999888%0d%0a",
		"<sip:a@b>", "Sales team", "{{caller_phone}}", "+49<script>", "+4930999888 OR 1=1", "../../etc/passwd", "urn:service:sos", "112",
		"911", "+1900", "+44871", "+37129999999", "+24174123456", "+870773123456", "+88213123456", "+979123456789", "118118",
		"sip:@", "sip:a@[::1]", "sip:a@0.0.0.0", "tel:118", "+", "+0", "+49", "+490", "+4900",
	} {
		synctest.Test(t, func(t *testing.T) {
			arg := strings.NewReplacer("\r", `\r`, "\n", `\n`, `"`, `\"`).Replace(to)
			c, carried := transferring(t, `{"destination":"`+arg+`"}`, true)
			c.wait(4 * time.Second).hangUp()
			if len(*carried) > 0 {
				t.Errorf("%q: dialled %+v", to, *carried)
			}
			c.want(`"event":"tool.refused"`, "That was it").not("transfer.started")
		})
	}
}

// TestTransferWithoutAWay: the call goes on, and the model knows why.
func TestTransferWithoutAWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := transferring(t, `{"destination":"+4930999888"}`, false)
		c.wait(6*time.Second).hangUp().want("transfer_unavailable", `That was it`).not("transfer.started")
	})
}

// TestTransfersAreBounded_SEC5: one a call, however often they fail.
func TestTransfersAreBounded_SEC5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, once("transfer_call", `{"destination":"+4930999888"}`),
			built(t, germany, strings.Replace(sales, "config:", "max_failures: 0, config:", 1))...)
		n := 0
		c.cfg.TransfersPerCall = 1
		c.cfg.Carry = func(context.Context, telephony.Leg, tools.Transfer) error { n++; return context.DeadlineExceeded }
		c.start().wait(2*time.Second).say("sales please", time.Second).wait(10 * time.Second)
		c.say("once more please", time.Second).wait(10 * time.Second).hangUp()
		c.want(`"result":"failed"`, `"reason":"transfer_limit`)
		if n != 1 {
			t.Errorf("dialled %d times", n)
		}
	})
}
