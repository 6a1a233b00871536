package tools_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/tools"
)

// SEC-10: a credential that stands in a definition as it is goes to nobody who
// may only read it; the name of a secret does.
func TestShownHidesCredentials(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, config, want string }{
		{
			"a list of headers",
			`{"url":"https://x.example","headers":[{"key":"Authorization","value":"Bearer canary"},{"key":"X-Api-Key","value":"canary"},` +
				`{"key":"X-Team","value":"voice"},{"key":"X-Token","value":"{{secret.crm}}"}]}`,
			`{"headers":[{"key":"Authorization","value":"Bearer ***"},{"key":"X-Api-Key","value":"***"},` +
				`{"key":"X-Team","value":"voice"},{"key":"X-Token","value":"{{secret.crm}}"}],"url":"https://x.example"}`,
		},
		{
			"an object of headers, and query parameters",
			`{"webhook_url":"https://x.example","headers":{"Authorization":"canary","Accept":"a/b"},"query_params":[{"key":"api_key","value":"canary"},{"key":"keyword","value":"k"}]}`,
			`{"headers":{"Accept":"a/b","Authorization":"***"},"query_params":[{"key":"api_key","value":"***"},{"key":"keyword","value":"k"}],"webhook_url":"https://x.example"}`,
		},
		{"a client secret", `{"hsmeta":{"uid":"a"},"client_secret":"canary"}`, `{"client_secret":"***","hsmeta":{"uid":"a"}}`},
		{"nothing to hide", `{"url":"https://x.example","method":"GET"}`, `{"url":"https://x.example","method":"GET"}`},
	} {
		var d tools.Definition
		if err := json.Unmarshal([]byte(`{"name":"a","config":`+tc.config+`}`), &d); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(d.Shown().Config)
		if err != nil || string(got) != tc.want || strings.Contains(string(got), "canary") {
			t.Errorf("%s: %s, %v", tc.name, got, err)
		}
		if was, err := json.Marshal(d.Config); err != nil || string(was) != tc.config {
			t.Errorf("%s: the definition was changed to %s, %v", tc.name, was, err)
		}
	}
}
