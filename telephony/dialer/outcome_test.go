package dialer

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

// reasons are the reasons of package telephony, as its source lists them.
func reasons(t *testing.T) map[telephony.Reason]bool {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../cause.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[telephony.Reason]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); ok && of.Name == "Reason" {
			s, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			out[telephony.Reason(s)] = true
		}
		return true
	})
	if len(out) < 10 {
		t.Fatalf("read %d reasons of telephony/cause.go", len(out))
	}
	return out
}

func TestClassifyWhatNobodyAnswered(t *testing.T) {
	t.Parallel()
	want := map[telephony.Reason]Outcome{
		telephony.ReasonNormal:       OutcomeFailed,
		telephony.ReasonCancelled:    OutcomeNoAnswer,
		telephony.ReasonBusy:         OutcomeBusy,
		telephony.ReasonNoAnswer:     OutcomeNoAnswer,
		telephony.ReasonRejected:     OutcomeRejected,
		telephony.ReasonBadNumber:    OutcomeInvalid,
		telephony.ReasonCongestion:   OutcomeCongestion,
		telephony.ReasonNoCodec:      OutcomeFailed,
		telephony.ReasonNotSecure:    OutcomeFailed,
		telephony.ReasonOverload:     OutcomeCongestion,
		telephony.ReasonDraining:     OutcomeCongestion,
		telephony.ReasonNoAck:        OutcomeFailed,
		telephony.ReasonNoMedia:      OutcomeFailed,
		telephony.ReasonMediaTimeout: OutcomeFailed,
		telephony.ReasonSession:      OutcomeFailed,
		telephony.ReasonTransferred:  OutcomeFailed,
		telephony.ReasonFailed:       OutcomeFailed,
	}
	for r := range reasons(t) {
		w, ok := want[r]
		if !ok {
			t.Errorf("telephony has the reason %q: say in this table, and in Classify, what it comes to", r)
			continue
		}
		if got := Classify(Call{Cause: telephony.Cause{Reason: r}}); got != w {
			t.Errorf("%s is %s, want %s", r, got, w)
		}
	}
	for status, w := range map[int]Outcome{
		403: OutcomeRejected, 404: OutcomeInvalid, 408: OutcomeNoAnswer, 410: OutcomeInvalid, 480: OutcomeNoAnswer,
		484: OutcomeInvalid, 486: OutcomeBusy, 487: OutcomeNoAnswer, 488: OutcomeFailed, 500: OutcomeCongestion,
		502: OutcomeCongestion, 503: OutcomeCongestion, 504: OutcomeCongestion, 600: OutcomeBusy, 603: OutcomeRejected,
		604: OutcomeInvalid, 607: OutcomeRejected, 608: OutcomeRejected, 606: OutcomeFailed, 400: OutcomeFailed,
		0: OutcomeFailed,
	} {
		for _, c := range []telephony.Cause{{Status: status}, {Status: status, Reason: telephony.ReasonOf(status)}} {
			if got := Classify(Call{Cause: c}); got != w {
				t.Errorf("%d is %s, want %s", status, got, w)
			}
		}
	}
}

func TestClassifyWhatWasAnswered(t *testing.T) {
	t.Parallel()
	at := func(s float64) time.Time {
		return time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC).Add(time.Duration(s * float64(time.Second)))
	}
	for _, c := range []struct {
		name string
		call Call
		want Outcome
	}{
		{"we greet at once", Call{Answered: at(0), Spoke: at(0.4), Ended: at(60)}, OutcomePerson},
		{"we greet who says nothing for 2 s", Call{Answered: at(0), Spoke: at(2.1), Ended: at(60)}, OutcomePerson},
		{"2 s after they should have greeted", Call{Answered: at(0), Spoke: at(4), Ended: at(60)}, OutcomePerson},
		{"we greet later", Call{Answered: at(0), Spoke: at(4.1), Ended: at(60)}, OutcomeAbandoned},
		{"and only then they speak", Call{Answered: at(0), Greeted: at(11), Spoke: at(10), Ended: at(60)}, OutcomeAbandoned},
		{"they greet at once", Call{Answered: at(0), Greeted: at(0.5), Spoke: at(2.6), Ended: at(60)}, OutcomeAbandoned},
		{"we greet after they did", Call{Answered: at(0), Greeted: at(5), Spoke: at(6.5), Ended: at(60)}, OutcomePerson},
		{"they greet, and we are late", Call{Answered: at(0), Greeted: at(5), Spoke: at(7.5), Ended: at(60)}, OutcomeAbandoned},
		{"both at once", Call{Answered: at(0), Greeted: at(5), Spoke: at(1), Ended: at(60)}, OutcomePerson},
		{"we never say a word", Call{Answered: at(0), Ended: at(9)}, OutcomeAbandoned},
		{"they hang up at once", Call{Answered: at(0), Ended: at(1.5)}, OutcomePerson},
		{"they say nothing and hang up", Call{Answered: at(0), Ended: at(4.5)}, OutcomeAbandoned},
		{"they say hello and hang up", Call{Answered: at(0), Greeted: at(8), Ended: at(9)}, OutcomePerson},
		{"nobody knows who", Call{Answered: at(0), Spoke: at(1), Ended: at(9), AnsweredBy: ByUnsure}, OutcomePerson},
		{"somebody", Call{Answered: at(0), Spoke: at(1), Ended: at(9), AnsweredBy: ByHuman}, OutcomePerson},
		{"a machine that hears nothing of us", Call{Answered: at(0), Ended: at(9), AnsweredBy: ByMachine}, OutcomeVoicemail},
		{"a screener", Call{Answered: at(0), Spoke: at(1), Ended: at(9), AnsweredBy: ByScreening}, OutcomeScreening},
		{
			"no sound ever came",
			Call{Answered: at(0), Spoke: at(1), Ended: at(15), Cause: telephony.Cause{Reason: telephony.ReasonNoMedia}},
			OutcomeFailed,
		},
		{
			"the sound stopped",
			Call{Answered: at(0), Spoke: at(1), Ended: at(90), Cause: telephony.Cause{Reason: telephony.ReasonMediaTimeout}},
			OutcomePerson,
		},
		{
			"it was passed on",
			Call{Answered: at(0), Spoke: at(1), Ended: at(90), Cause: telephony.Cause{Reason: telephony.ReasonTransferred}},
			OutcomePerson,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := Classify(c.call); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
