package tools_test

import (
	"encoding/json"
	"fmt"
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
		{
			"every name of a credential",
			`{"headers":{"Ocp-Apim-Subscription-Key":"canary","X-Key":"canary","X-Access-Key":"canary","authToken":"canary",` +
				`"Idempotency-Key":"i","X-Author":"ann"},"query_params":{"key":"canary","access_key":"canary","clientSecret":"canary"}}`,
			`{"headers":{"Idempotency-Key":"i","Ocp-Apim-Subscription-Key":"***","X-Access-Key":"***","X-Author":"ann","X-Key":"***",` +
				`"authToken":"***"},"query_params":{"access_key":"***","clientSecret":"***","key":"***"}}`,
		},
		{
			"a literal beside a placeholder",
			`{"headers":[{"key":"Authorization","value":"Bearer canary{{agent_id}}"},{"key":"authorization","value":"canary {{agent_id}}"},` +
				`{"key":"X-Key","value":"{{agent_id}}-canary"},{"key":"Cookie","value":"sid=canary; a={{secret.a}}"}]}`,
			`{"headers":[{"key":"Authorization","value":"Bearer ***"},{"key":"authorization","value":"***"},` +
				`{"key":"X-Key","value":"***"},{"key":"Cookie","value":"***"}]}`,
		},
		{
			"placeholders alone",
			`{"headers":[{"key":"Authorization","value":"Bearer {{secret.crm}}"},{"key":"X-Auth","value":"{{secret.user}}:{{ secret.word }}"},` +
				`{"key":"Cookie","value":"sid={{secret.sid}}; a={{secret.a}}"},{"key":"X-Key","value":"Api-Key {{secret.crm}}"}]}`,
			`{"headers":[{"key":"Authorization","value":"Bearer {{secret.crm}}"},{"key":"X-Auth","value":"{{secret.user}}:{{ secret.word }}"},` +
				`{"key":"Cookie","value":"sid={{secret.sid}}; a={{secret.a}}"},{"key":"X-Key","value":"Api-Key {{secret.crm}}"}]}`,
		},
		{"a client secret", `{"hsmeta":{"uid":"a"},"client_secret":"canary"}`, `{"client_secret":"***","hsmeta":{"uid":"a"}}`},
		{
			"a user and a password in a URL",
			`{"url":"https://ann:canary@x.example/a","webhook_url":"https://canary@x.example?a=1"}`,
			`{"url":"https://***@x.example/a","webhook_url":"https://***@x.example?a=1"}`,
		},
		{
			"parameters of a URL",
			`{"url":"https://x.example/a?api_key=canary\u0026q={{args.q}}\u0026keyword=k\u0026sig=canary#access_token=canary"}`,
			`{"url":"https://x.example/a?api_key=***\u0026q={{args.q}}\u0026keyword=k\u0026sig=***#access_token=***"}`,
		},
		{
			"a parameter whose name is written otherwise",
			`{"url":"https://x.example?api%5Fkey=canary;%74oken=canary\u0026my-key%zz=canary"}`,
			`{"url":"https://x.example?api%5Fkey=***;%74oken=***\u0026my-key%zz=***"}`,
		},
		{
			"placeholders in a URL",
			`{"url":"https://{{secret.user}}:{{secret.word}}@x.example?token={{secret.crm}}\u0026key={{args.key}}"}`,
			`{"url":"https://{{secret.user}}:{{secret.word}}@x.example?token={{secret.crm}}\u0026key={{args.key}}"}`,
		},
		{
			"a literal beside a placeholder in a URL",
			`{"url":"https://{{secret.user}}:canary@x.example?token=canary-{{args.id}}"}`,
			`{"url":"https://***@x.example?token=***"}`,
		},
		{
			"the URL of a HubSpot action",
			`{"hsmeta":{"config":{"actionUrl":"https://x.example/?token=canary"},"uid":"a"}}`,
			`{"hsmeta":{"config":{"actionUrl":"https://x.example/?token=***"},"uid":"a"}}`,
		},
		{"an @ in a path", `{"url":"https://x.example/@ann?a=b@c"}`, `{"url":"https://x.example/@ann?a=b@c"}`},
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

// What is hidden from readers is advised against, and nothing else.
func TestCredentialsAreAdvisedAgainst(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		`{key: Ocp-Apim-Subscription-Key, value: plain}`:            true,
		`{key: X-Key, value: plain}`:                                true,
		`{key: Authorization, value: "Bearer sk-live{{agent_id}}"}`: true,
		`{key: Authorization, value: "Bearer {{secret.crm_key}}"}`:  false,
		`{key: Idempotency-Key, value: plain}`:                      false,
		`{key: X-Team, value: plain}`:                               false,
	} {
		d := define(t, `{name: x, description: d, tool_type: http_request,
			config: {url: "https://x.example", method: GET, headers: [`+header+`]}}`)
		faults := d.Validate(deps(t))
		if got := strings.Contains(fmt.Sprint(faults), "a credential as it is"); got != want || faults.Err() != nil {
			t.Errorf("%s: %v", header, faults)
		}
	}
	for config, want := range map[string]string{
		`url: "https://x.example?token=plain"`:                                            "config.url",
		`url: "https://x.example", query_params: [{key: api_key, value: plain}]`:          "config.query_params[0].value",
		`url: "https://x.example?token={{secret.crm_key}}"`:                               "",
		`url: "https://x.example", query_params: [{key: keyword, value: plain}]`:          "",
		`url: "https://x.example", query_params: [{key: k, value: "{{secret.crm_key}}"}]`: "",
	} {
		d := define(t, `{name: x, description: d, tool_type: http_request, config: {method: GET, `+config+`}}`)
		faults := d.Validate(deps(t))
		if got := fmt.Sprint(faults); strings.Contains(got, "a credential as it is") != (want != "") ||
			!strings.Contains(got, want) || faults.Err() != nil {
			t.Errorf("%s: %v", config, faults)
		}
	}
}

// FuzzMaskURL holds that a masked URL is masked, and what stood there is gone.
func FuzzMaskURL(f *testing.F) {
	for _, s := range []string{
		"https://u:p@x.example/a?api_key=k&q={{args.q}}#t", "https://x?a=b", "?token=", "{{a}}://@", "a://b@c@d?%6bey=%zz;pwd==&",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		once := tools.MaskURL(raw)
		if again := tools.MaskURL(once); again != once {
			t.Errorf("%q, and masked again %q", once, again)
		}
		if with := tools.MaskURL("https://ann:canary@x.example/?token=canary&" + strings.ReplaceAll(raw, "canary", "")); strings.Contains(with, "canary") {
			t.Errorf("%q", with)
		}
	})
}
