package tools_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/tools"
)

// turn is a turn of the caller's.
func (x *teller) turn(words string) {
	x.told.Turn()
	x.say(words)
}

// T-13: a value that the caller does not agree to is read back three times, or as
// often as the tool says; whatever they put in its place counts. Then it is kept
// as it is, the gates that want it confirmed say so (C-12), and nobody asks again.
func TestAValueIsGivenUp_T13(t *testing.T) {
	t.Parallel()
	const addresses = 6
	for limit, want := range map[string]int{"": 3, "max_read_backs: 1": 1, "max_read_backs: 5": 5, "max_read_backs: 0": addresses} {
		x := newTeller(t, emailTool+limit, phoneTool, lookup)
		read := 0
		for i := range addresses {
			got := x.note("extract_email", fmt.Sprintf(`{"value":"laura%d@exemple.com"}`, i))
			again := x.note("extract_email", fmt.Sprintf(`{"value":"laura%d@exemple.com"}`, i)) // the same turn
			if got != again {
				t.Errorf("%q: told twice in a turn: %s, then %s", limit, got, again)
			}
			if strings.Contains(got, `"read_back"`) == strings.Contains(got, `"given_up":true,"message":"not confirmed: it was asked`) {
				t.Errorf("%q: %s", limit, got)
			}
			if strings.Contains(got, `"read_back"`) {
				read++
			}
			x.hear(fmt.Sprintf("J'ai compris laura %d arobase exemple point com. Est-ce correct ?", i))
			x.turn("non")
		}
		if read != want || x.vars["email"] != fmt.Sprintf("laura%d@exemple.com", addresses-1) {
			t.Errorf("%q: read back %d times, want %d; noted %v", limit, read, want, x.vars["email"])
		}
		_, refused := x.open("lookup", `{}`)
		if lost := strings.Contains(refused, "email was not confirmed: it was asked for often enough, do not ask again"); lost != (want < addresses) {
			t.Errorf("%q: %s", limit, refused)
		}
		if want < addresses { // saying yes to nothing changes nothing
			x.turn("oui")
			if got := x.note("extract_email", fmt.Sprintf(`{"value":"laura%d@exemple.com","confirmed":true}`, addresses-1)); !strings.Contains(got, `"confirmed":false`) {
				t.Errorf("%q: %s", limit, got)
			}
		}
	}
}

// A yes to the last time it may be asked is not lost where the model tells the
// value again without it: nothing is asked, and the yes is taken when it comes.
func TestAYesToTheLastTimeIsKept_T13(t *testing.T) {
	t.Parallel()
	x := newTeller(t, emailTool)
	for i, say := range []string{"non", "non", "oui"} {
		if got := x.note("extract_variable", fmt.Sprintf(`{"value":"laura%d@exemple.com"}`, i)); !strings.Contains(got, `"read_back"`) {
			t.Fatalf("address %d: %s", i, got)
		}
		x.hear(fmt.Sprintf("J'ai compris laura %d arobase exemple point com. Est-ce correct ?", i))
		x.turn(say)
	}
	for range 2 {
		got := x.note("extract_variable", `{"value":"laura2@exemple.com"}`)
		if strings.Contains(got, `"given_up"`) || strings.Contains(got, `"read_back"`) || !strings.Contains(got, "has said yes") {
			t.Error(got)
		}
		x.turn("Et ensuite ?")
	}
	if got := x.note("extract_variable", `{"value":"laura2@exemple.com","confirmed":true}`); !strings.Contains(got, `"confirmed":true`) {
		t.Error(got)
	}
}

// A yes begins the count anew: a caller may correct what they confirmed.
func TestAYesEndsTheCount_T13(t *testing.T) {
	t.Parallel()
	x := newTeller(t, emailTool+"max_read_backs: 2")
	for i := range 5 {
		for _, say := range []string{"non", "oui"} {
			value := fmt.Sprintf(`"laura%d%s@exemple.com"`, i, say)
			if got := x.note("extract_variable", `{"value":`+value+`}`); !strings.Contains(got, `"read_back"`) {
				t.Fatalf("address %d: %s", i, got)
			}
			x.hear(fmt.Sprintf("Alors laura %d %s arobase exemple point com ?", i, say))
			x.turn(say)
		}
		if got := x.note("extract_variable", fmt.Sprintf(`{"value":"laura%doui@exemple.com","confirmed":true}`, i)); !strings.Contains(got, `"confirmed":true`) {
			t.Fatalf("address %d: %s", i, got)
		}
	}
}

// The caller is asked three times, too, whether a tool shall run (SEC-9).
func TestAToolIsAskedForThreeTimes_SEC9(t *testing.T) {
	t.Parallel()
	x := newTeller(t, `{name: cancel, description: d, tool_type: http_request, confirm: true,
		config: {url: "https://crm.example.com/x", method: DELETE}}`)
	for i := range 5 {
		_, refused := x.open("cancel", `{"order":"AB-123"}`)
		if want := []string{"confirm_first", "confirm_first", "confirm_first", "not_agreed", "not_agreed"}[i]; !strings.Contains(refused, `"`+want+`"`) {
			t.Errorf("asked for the %d. time: %s", i+1, refused)
		}
		x.hear("J'annule la commande a b un deux trois, d'accord ?")
		x.turn("non")
	}
	_, faults := tools.Build([]tools.Definition{define(t, "{name: x, description: d, tool_type: end_call, max_read_backs: -1}")}, deps(t))
	if err := faults.Err(); err == nil || !strings.Contains(err.Error(), "max_read_backs") {
		t.Errorf("a negative limit: %v", err)
	}
}
