package dialer

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// list is a file of n contacts of Germany and the United States.
func list(n int) []byte {
	var b bytes.Buffer
	b.WriteString("number,name,consent,customer_name,amount\n")
	for i := range n {
		if i%2 == 0 {
			fmt.Fprintf(&b, "+4930%08d,Ada Meyer,form 2026-01-02,Meyer,%d.50\n", 10_000_000+i, i)
		} else {
			fmt.Fprintf(&b, "+1212%07d,Ravi Kumar,form 2026-01-02,Kumar,%d.50\n", 2_000_000+i, i)
		}
	}
	return b.Bytes()
}

// BenchmarkReadContacts reads 100,000 rows; an import has 15 s for them, with what
// the store does.
func BenchmarkReadContacts(b *testing.B) {
	text := list(100_000)
	c := Campaign{Variables: []Variable{{Name: "customer_name", Type: "string", Required: true}, {Name: "amount", Type: "number"}}}
	b.ReportAllocs()
	b.ResetTimer()
	rows := 0
	for b.Loop() {
		for _, no := range ReadContacts(bytes.NewReader(text), FormatCSV, c) {
			if no != nil {
				b.Fatal(no)
			}
			rows++
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// FuzzReadContacts: no file makes it panic or hang, rows and refusals have their
// places, and a number that is taken is one that is taken again.
func FuzzReadContacts(f *testing.F) {
	for _, s := range []string{
		"number,name\n+4930123456,Ada\n", "sep=;\nnumber;name\n\"+4930123456\";\"a;b\"\n", "[{\"number\":\"+4930123456\"}]",
		"{\"number\":\"030123456\",\"variables\":{\"amount\":1}}\n{}", "number\tzone\n+1\tEurope/Berlin", utf16le("number\n1\n"),
		"number,amount\n+4930123456,1e9\n",
	} {
		f.Add([]byte(s), "DE")
	}
	f.Fuzz(func(t *testing.T, text []byte, country string) {
		c := Campaign{Country: country, Variables: []Variable{{Name: "amount", Type: "number"}, {Name: "day", Type: "date"}}}
		ended := false
		seen := map[string]bool{}
		for row, no := range ReadContacts(bytes.NewReader(text), "", c) {
			if ended {
				t.Fatal("something comes after the end")
			}
			if no != nil {
				if ended = no.Final; no.Why == "" || no.Line < 0 || no.Column < 0 {
					t.Fatalf("refused without a reason or a place: %+v", no)
				}
				continue
			}
			k := row.Contact
			if again, err := Number(k.Number, ""); err != nil || again != k.Number || seen[k.Number] || !strings.HasPrefix(k.Number, "+") {
				t.Fatalf("%q was taken (again: %v), and read again it is %q, %v", k.Number, seen[k.Number], again, err)
			}
			if seen[k.Number] = true; row.Line < 1 {
				t.Fatalf("line %d", row.Line)
			}
		}
	})
}
