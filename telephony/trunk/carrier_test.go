package trunk

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestACarriersTrunkNeedsNoAddresses(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("A", 43) + "="
	tb := table(t, []Config{
		{Name: "twilio", Type: "twilio", AuthToken: "secret", AccountSID: "AC1", APIURL: "https://api.ie1.twilio.com", Country: "DE"},
		{Name: "telnyx", Type: "telnyx", PublicKey: key, Codecs: []string{"l16", "PCMU"}},
		{Name: "plain", Type: "sip", Allow: []string{"192.0.2.1"}},
	}, []Number{{Number: "030 123456", Trunk: "twilio", Agent: "support"}}, "")
	tw, _ := tb.Trunk("twilio")
	if tw.Type != "twilio" || tw.AuthToken != "secret" || tw.AccountSID != "AC1" || tw.APIURL != "https://api.ie1.twilio.com" {
		t.Errorf("%+v", tw)
	}
	tx, _ := tb.Trunk("telnyx")
	if !slices.Equal(tx.Codecs, []string{"L16", "PCMU"}) || tx.PublicKey != key {
		t.Errorf("%+v", tx)
	}
	if plain, _ := tb.Trunk("plain"); plain.Type != "" {
		t.Errorf("a SIP trunk of the type %q", plain.Type)
	}
	if agent, number, ok := tb.Route("twilio", "+4930123456"); !ok || agent != "support" || number != "+4930123456" {
		t.Error(agent, number, ok)
	}
}

func TestFaultsOfCarriersTrunks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		c    Config
		want string
	}{
		{"an unknown type", Config{Type: "vonage"}, `trunks[0].type: "vonage" is not known; write sip, telnyx, twilio`},
		{"no token", Config{Type: "twilio"}, "trunks[0].auth_token: without it nothing tells twilio from others"},
		{"no key", Config{Type: "telnyx", AuthToken: "KEY"}, "trunks[0].public_key: without it"},
		{"no such key", Config{Type: "telnyx", PublicKey: "abc"}, "trunks[0].public_key: it is no ed25519 key"},
		{"a gateway", Config{Type: "twilio", AuthToken: "s", Gateways: []string{"sip:h"}}, "trunks[0].gateways: it is of SIP"},
		{"a password", Config{Type: "twilio", AuthToken: "s", Username: "u", Password: "p"}, "trunks[0].password: it is of SIP"},
		{"a codec", Config{Type: "twilio", AuthToken: "s", Codecs: []string{"G722"}}, `trunks[0].codecs[0]: no codec "G722"; write PCMU`},
		{"an address", Config{Type: "twilio", AuthToken: "s", APIURL: "api.twilio.com"}, "trunks[0].api_url"},
		{"a token of SIP", Config{Allow: []string{"192.0.2.1"}, AuthToken: "s"}, "trunks[0].auth_token: it is of carriers"},
	} {
		c.c.Name = "x"
		_, err := NewTable([]Config{c.c}, nil, "")
		var f *Fault
		if !errors.As(err, &f) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A trunk has one secret, whatever it is called.
func TestCredential(t *testing.T) {
	t.Parallel()
	sip, ws := Config{Password: "p"}, Config{Type: "twilio", AuthToken: "t"}
	if *sip.Credential() != "p" || sip.CredentialKey() != "password" || *ws.Credential() != "t" || ws.CredentialKey() != "auth_token" {
		t.Error("the wrong secret")
	}
}
