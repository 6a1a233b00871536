package tools_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/tools"
)

// TestTransferDefinitions_F09: the model chooses among the destinations, and
// nothing else can be said.
func TestTransferDefinitions_F09(t *testing.T) {
	t.Parallel()
	d := deps(t)
	d.MayDial = func(to string) error {
		if !strings.HasPrefix(to, "+49") {
			return errors.New("no prefix fits")
		}
		return nil
	}
	set, faults := tools.Build([]tools.Definition{
		define(t, `{tool_type: transfer_call, config: {phone_number: "+49 30 999-888", transfer_mode: warm, play_hold_music: true}}`),
		define(t, `{tool_type: monitored_transfer, config: {phone_number: "+4930999888", timeout_seconds: 20}}`),
		define(t, `{name: desk, tool_type: transfer_call, config: {destinations: [
			{type: number, number: "+4930111", description: "Sales team - prices"}, {name: support, number: "+4930222"}]}}`),
	}, d)
	if faults != nil {
		t.Fatal(faults)
	}
	one, _ := set.Get("transfer_call")
	got, _, ok := one.(*tools.TransferTool).Chosen(json.RawMessage(`{}`))
	want := tools.Transfer{Kind: tools.Warm, To: "+4930999888", Music: true, Timeout: 30 * time.Second, Accept: tools.AcceptAny}
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	watched, _ := set.Get("monitored_transfer")
	got, _, ok = watched.(*tools.TransferTool).Chosen(json.RawMessage(`{}`))
	want = tools.Transfer{
		Kind: tools.Monitored, To: "+4930999888", Timeout: 20 * time.Second, Accept: tools.AcceptNone, Returns: true,
	}
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	desk, _ := set.Get("desk")
	for _, part := range []string{`"enum":["+4930111","support"]`, "Sales team - prices", `"required":["destination"]`} {
		if !strings.Contains(string(desk.Schema()), part) {
			t.Errorf("%s lacks %s", desk.Schema(), part)
		}
	}
	if _, _, ok := tools.Arguments(desk, json.RawMessage(`{"destination":"+4930333"}`)); ok {
		t.Error("a number that is none of them is taken")
	}
	if one.Definition().Class != tools.Terminal || watched.Definition().Class != tools.Async {
		t.Error("a transfer is no end, or a monitored one is: the agent stays with the caller")
	}
}

func TestFaultsOfTransfersAndTones(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{tool_type: transfer_call, config: {}}`:                                                             "config.phone_number",
		`{tool_type: transfer_call, config: {phone_number: "030 999888"}}`:                                   "international form",
		`{tool_type: transfer_call, config: {phone_number: "+4930999888", transfer_mode: hot}}`:              "config.transfer_mode",
		`{tool_type: transfer_call, config: {phone_number: "+4930999888", destinations: [{number: "+49"}]}}`: "config.phone_number",
		`{tool_type: transfer_call, config: {destinations: [{number: "+4930111"}, {number: "+4930111"}]}}`:   "config.destinations[1]",
		`{tool_type: transfer_call, config: {destinations: [{type: fax, number: "+4930111"}]}}`:              "destinations[0].type",
		`{tool_type: monitored_transfer, config: {phone_number: "+4930999888", timeout_seconds: 500}}`:       "config.timeout_seconds",
		`{tool_type: monitored_transfer, config: {phone_number: "+4930999888", transfer_mode: warm}}`:        "unknown key",
		`{tool_type: transfer_call, config: {phone_number: "+4930999888", accept: key}}`:                     "nobody is asked by a cold transfer",
		`{tool_type: transfer_call, config: {phone_number: "+4930999888", briefing: "Hi."}}`:                 "nobody is briefed",
		`{tool_type: monitored_transfer, config: {phone_number: "+4930999888", accept: kye}}`:                "did you mean",
		`{tool_type: monitored_transfer, config: {phone_number: "+4930999888", on_target_hangup: stay}}`:     "config.on_target_hangup",
		`{tool_type: monitored_transfer, config: {phone_number: "+4930999888", return_key: "**"}}`:           "config.return_key",
		`{tool_type: transfer_call, config: {phone_number: "+4930999888", return_phrases: [help]}}`:          "unknown key",
		`{tool_type: play_tone, config: {tone_type: beep}}`:                                                  "config.tone_type",
		`{tool_type: play_tone, config: {dtmf_digit: "x"}}`:                                                  "config.dtmf_digit",
		`{tool_type: play_tone, config: {dtmf_digit: "1", duration: 5}}`:                                     "config.duration",
		`{tool_type: play_tone, config: {dtmf_digit: "1", volume: 0}}`:                                       "config.volume",
		`{tool_type: play_tone, config: {dtmf_digit: "1", volume: 1.2}}`:                                     "config.volume",
		`{tool_type: play_tone, config: {dtmf_digit: "1", duration: .nan}}`:                                  "config.duration: NaN ms",
		`{tool_type: play_tone, config: {dtmf_digit: "1", duration: .inf}}`:                                  "config.duration",
		`{tool_type: play_tone, config: {dtmf_digit: "1", volume: .nan}}`:                                    "config.volume",
		`{tool_type: transfer_call, config: {phone_number: "+4930999888", timeout_seconds: .nan}}`:           "config.timeout_seconds: NaN s",
		`{tool_type: monitored_transfer, config: {phone_number: "+4930999888", timeout_seconds: -.inf}}`:     "config.timeout_seconds",
		`{tool_type: end_call, timeout: .nan}`:                                                               "timeout: NaN s",
		`{tool_type: end_call, speech: {bridging_after: .nan}}`:                                              "speech.bridging_after: NaN s",
	} {
		_, faults := tools.Build([]tools.Definition{define(t, text)}, deps(t))
		if err := faults.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
	d := deps(t)
	d.MayDial = func(string) error { return errors.New("dialing.allow is empty") }
	_, faults := tools.Build([]tools.Definition{define(t, `{tool_type: transfer_call, config: {phone_number: "+4930999888"}}`)}, d)
	if w := faults.Warnings(); faults.Err() != nil || len(w) != 1 || !strings.Contains(w[0].Error(), "dialing.allow") {
		t.Errorf("a number that may not be dialled: %v", faults)
	}
}
