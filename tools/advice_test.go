package tools_test

import (
	"fmt"
	"strings"
	"testing"
)

// F-26, H-21, D-24: what a maker is told to look at, and what is fine.
func TestAdvice_F26_H21(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range 27 {
		many = append(many, fmt.Sprintf("a%d: {type: string}", i))
	}
	const fine = "Check product availability and stock levels. Use when customer asks if a product is in stock. Returns quantity."
	for _, c := range []struct{ name, description, properties, want string }{
		{"F-26 good", fine, "order_id: {type: string}", ""},
		{"F-26 good too", "Create a support ticket. Use only when you cannot help the customer directly.", "", ""},
		{"D-24 time-critical", "Mark a phone number as Do Not Call. Call this IMMEDIATELY when the customer says so.", "", ""},
		{"French", "Vérifier si le contact existe uniquement après confirmation de l'email.", "", ""},
		{"F-26 bad", "Looks up data", "", `"Looks up data" is vague`},
		{"D-24 bad", "Get order", "", `"Get order" is vague`},
		{"no trigger", "Looks up the status of an order and its tracking number", "", "does not say when to call"},
		{"H-21 a key", fine, "api_key: {type: string}", "looks like a secret"},
		{"H-21 a password", fine, "userPassword: {type: string}, user_password: {type: string}", "user_password: looks like a secret"},
		{"a word that only contains one", fine, "secretary: {type: string}, tokens_used: {type: number}", ""},
		{"27 arguments", fine, strings.Join(many, ", "), "27 arguments; 26 at most"},
	} {
		d := define(t, `{name: a, description: "`+c.description+`", tool_type: http_request, parameters: {properties: {`+c.properties+
			`}}, config: {url: "https://x.example", method: POST}}`)
		faults := d.Validate(deps(t))
		var told []string
		for _, f := range faults {
			told = append(told, f.Error())
		}
		if all := strings.Join(told, "\n"); faults.Err() != nil || (c.want == "") != (all == "") || !strings.Contains(all, c.want) {
			t.Errorf("%s: %s", c.name, all)
		}
	}
}
