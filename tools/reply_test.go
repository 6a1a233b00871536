package tools_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/tools"
)

func FuzzReply(f *testing.F) {
	f.Add(200, []byte(`{"a":[1,{"b":"c"}]}`))
	f.Add(500, []byte(`{"error":{"message":"x"}}`))
	f.Add(200, []byte("\xef\xbb\xbf[\"\xff\"]"))
	f.Add(200, []byte(`{"a":"`+strings.Repeat("ü\\n", 20000)+`","b":1}`))
	f.Add(200, []byte(`{"":`+strings.Repeat("[", 300)+`"`+strings.Repeat("x", 70000)+`"`+strings.Repeat("]", 300)+`}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		r := tools.ReadReply(status, body)
		var o map[string]any
		if err := json.Unmarshal(r.JSON, &o); err != nil || o == nil {
			t.Fatalf("no object: %.200s", r.JSON)
		}
		if len(r.JSON) > 64<<10 {
			t.Fatalf("%d bytes", len(r.JSON))
		}
		if ok := status >= 200 && status <= 299; !ok && (r.Status == tools.OK || o["error"] == nil) {
			t.Fatalf("%d is a success", status)
		}
		r.HasError()
		tools.SuccessSpeech{{Say: "{{result.a.b}}"}}.Pick(r, tools.Env{})
	})
}
