package dialer

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// told is a file of contacts as it was read, a line each.
func told(r io.Reader, f Format, c Campaign) []string {
	var out []string
	for row, no := range ReadContacts(r, f, c) {
		if no != nil {
			s := "no " + no.Error()
			if no.Final {
				s = "end " + no.Error()
			}
			out = append(out, s)
			continue
		}
		k := row.Contact
		s := fmt.Sprintf("%d %s", row.Line, k.Number)
		for _, v := range []struct{ name, value string }{{"name", k.Name}, {"zone", k.Zone}, {"consent", k.Consent}} {
			if v.value != "" {
				s += " " + v.name + "=" + v.value
			}
		}
		if k.Record {
			s += " record"
		}
		for _, n := range slices.Sorted(maps.Keys(k.Variables)) {
			s += fmt.Sprintf(" %s:%T=%v", n, k.Variables[n], k.Variables[n])
		}
		out = append(out, s)
	}
	return out
}

func TestReadContacts(t *testing.T) {
	t.Parallel()
	typed := Campaign{Country: "DE", Variables: []Variable{
		{Name: "customer_name", Type: "string", Required: true},
		{Name: "amount", Type: "number"},
		{Name: "open", Type: "integer"},
		{Name: "premium", Type: "boolean"},
		{Name: "since", Type: "date"},
	}}
	for _, c := range []struct {
		name   string
		c      Campaign
		format Format
		text   string
		want   []string
	}{
		{
			name: "columns by their names, in any order",
			text: "name,Phone,time zone,consent,record\nAda,+4930123456,Europe/Berlin,form 2026-01-02,yes\n",
			want: []string{"2 +4930123456 name=Ada zone=Europe/Berlin consent=form 2026-01-02 record"},
		},
		{
			name: "semicolons, CRLF, quotes and a mark at the start",
			text: "\uFEFFnumber;name;city\r\n\"+49 30 123456\";\"Meyer; Ada\r\nthe \"\"second\"\"\";Bonn\r\n+4930123457;;\r\n",
			want: []string{"2 +4930123456 name=Meyer; Ada\nthe \"second\" city:string=Bonn", "4 +4930123457"},
		},
		{
			name: "tabs",
			text: "number\tname\n+4930123456\tAda, of Bonn\n",
			want: []string{"2 +4930123456 name=Ada, of Bonn"},
		},
		{
			name: "a spreadsheet that names its separator",
			text: "sep=;\r\nnumber;name\r\n+4930123456;Ada\r\n",
			want: []string{"3 +4930123456 name=Ada"},
		},
		{
			name: "a single column",
			text: "number\n+4930123456\n\n+4930123457",
			want: []string{"2 +4930123456", "4 +4930123457"},
		},
		{
			name: "UTF-16 with its mark", // as spreadsheets save Unicode text
			text: utf16le("number\tname\n+4930123456\tJürgen\n"),
			want: []string{"2 +4930123456 name=Jürgen"},
		},
		{
			name: "numbers as people write them", c: Campaign{Country: "de"},
			text: "number\n030 123456\n(0)30/123-457\n0049 30 123458\n'+4930123459\ntel:+4930123460\n+49 (0)30 123461\n+1 212.555.0100\n\u202a+49 30\u00a0123462\u202c\n",
			want: []string{
				"2 +4930123456",
				"3 +4930123457", "4 +4930123458", "5 +4930123459", "6 +4930123460", "7 +4930123461", "8 +12125550100", "9 +4930123462",
			},
		},
		{
			name: "numbers that are none",
			text: "name,number\na,030 123456\nb,+4930\nc,+49 30 12ab\nd,4.93012E+11\ne,\nf,+999123456789\ng,0049 30 123456\nh,+4930123456 ext 12\ni,112\nj,+1 555 010 0001\n",
			want: []string{
				"no line 2, column 3 (number): it has no country code: write + and the country code before it, or give the campaign a country",
				"no line 3, column 3 (number): no number of DE is like it: look for digits that are missing or too many",
				"no line 4, column 3 (number): it holds what no number has: write +, the country code and the number",
				"no line 5, column 3 (number): a spreadsheet has rounded it: give its column the format text and export it again",
				"no line 6, column 3 (number): there is no number",
				"no line 7, column 3 (number): it is no number: invalid country code",
				"8 +4930123456 name=g",
				"no line 9, column 3 (number): it holds what no number has: write +, the country code and the number",
				"no line 10, column 3 (number): it has no country code: write + and the country code before it, or give the campaign a country",
				"no line 11, column 3 (number): no number of US is like it: look for digits that are missing or too many",
			},
		},
		{
			name: "one never twice", c: Campaign{Country: "DE"},
			text: "number\n+4930123456\n030/123456\n",
			want: []string{"2 +4930123456", "no line 3, column 1 (number): is the number of line 2 again"},
		},
		{
			name: "consent that was not given",
			text: "number,consent\n+4930123451,no\n+4930123452,FALSE\n+4930123453,-\n+4930123454,\n+4930123455,yes\n",
			want: []string{"2 +4930123451", "3 +4930123452", "4 +4930123453", "5 +4930123454", "6 +4930123455 consent=yes"},
		},
		{
			name: "variables of their types (D-23)", c: typed,
			text: "number,Customer Name,amount,open,premium,since,note\n+4930123456,Ravi,4500.5,2,TRUE,2026-01-31,007\n",
			want: []string{"2 +4930123456 amount:float64=4500.5 customer_name:string=Ravi note:string=007 open:int64=2 premium:bool=true since:string=2026-01-31"},
		},
		{
			name: "values that are not of their types", c: typed,
			text: "number,customer_name,amount,open,premium,since\n+4930123451,a,1.000€,,,\n+4930123452,a,NaN,,,\n+4930123453,a,,2.5,,\n" +
				"+4930123454,a,,,maybe,\n+4930123455,a,,,,31.1.2026\n+4930123456,,,,,\n+4930123457,a,,,,2026-02-30\n",
			want: []string{
				`no line 2, column 15 (amount): "1.000€" is no number: write it as 1234.5`,
				`no line 3, column 15 (amount): "NaN" is no number: write it as 1234.5`,
				`no line 4, column 16 (open): "2.5" is no whole number: write it as 1234`,
				`no line 5, column 17 (premium): "maybe" is neither true nor false`,
				`no line 6, column 18 (since): "31.1.2026" is no date: write it as 2026-12-25`,
				`no line 7 (customer_name): is missing: every contact of this campaign has to bring it`,
				`no line 8, column 18 (since): "2026-02-30" is no date: write it as 2026-12-25`,
			},
		},
		{
			name: "a variable that is named like a column fills both",
			c:    Campaign{Variables: []Variable{{Name: "name", Type: "string", Required: true}}},
			text: "number,name\n+4930123456,Ada\n",
			want: []string{"2 +4930123456 name=Ada name:string=Ada"},
		},
		{
			name: "zones, record and names that are wrong",
			text: "number,zone,record,name\n+4930123451,Berlin,,\n+4930123452,,perhaps,\n+4930123453,,,\"a\x01\"\n+4930123454,,,J\xfcrgen\n+4930123455,Local,,\n+4930123456,,,Ada\n",
			want: []string{
				`no line 2, column 13 (zone): "Berlin" is no time zone: write one such as Europe/Berlin`,
				`no line 3, column 14 (record): "perhaps" is neither true nor false`,
				`no line 4, column 15 (name): holds a control character`,
				`no line 5, column 15 (name): is not UTF-8: save the file as CSV UTF-8`,
				`no line 6, column 13 (zone): "Local" is no time zone: write one such as Europe/Berlin`,
				`7 +4930123456 name=Ada`,
			},
		},
		{
			name: "rows that are no CSV do not end it",
			text: "number,name\n+4930123451,a\"b\n+4930123452,\"a\"b\n+4930123453,a,b\n+4930123454\n",
			want: []string{
				"no line 2, column 14: a quote stands inside a value: write the whole value in quotes, and a quote in it twice",
				"no line 3, column 15: a value in quotes does not end with one",
				"no line 4, column 15: has 3 values for 2 columns: a value with the separator in it needs quotes",
				"5 +4930123454",
			},
		},
		{name: "no header", text: "+4930123456,Ada\n", want: []string{
			"end line 1, column 1 (+4930123456): there is no header: the first row has to name the columns, such as number,name,zone",
		}},
		{name: "no column of numbers", text: "nummer,name\n1,2\n", want: []string{
			"end line 1, column 1: no column is named number or phone: the first row has to name the columns, such as number,name,zone",
		}},
		{name: "two columns of numbers", text: "phone,name,number\n1,2,3\n", want: []string{
			"end line 1, column 12 (number): is for the same as column 1, phone: leave one of them out",
		}},
		{name: "a column that is no variable", text: "number,a b,c%d\n1,2,3\n", want: []string{
			`end line 1, column 12 (c%d): "c%d" cannot be the name of a variable: write letters, digits and _, a letter first`,
		}},
		{name: "columns without a name are left out", text: "number,name,,\n+4930123456,a,b,\n", want: []string{"2 +4930123456 name=a"}},
		{name: "an empty file", text: "", want: []string{"end line 1: the file is empty"}},
		{name: "only a header", text: "number\n", want: nil},
		{name: "a format that is none", format: "xlsx", text: "PK", want: []string{`end line 1: "xlsx" is no format: write csv or json`}},

		{
			name: "an array (D-23)", c: typed,
			text: "[\n {\"number\": \"+4930123451\", \"customer_name\": \"Ravi\", \"amount\": 4500, \"premium\": true, \"consent\": true},\n" +
				" {\"phone\": \"030 123452\", \"variables\": {\"customer_name\": \"Ada\", \"name\": \"x\", \"open\": \"7\"}, \"record\": true, \"consent\": false}\n]\n",
			want: []string{
				"2 +4930123451 consent=true amount:float64=4500 customer_name:string=Ravi premium:bool=true",
				"3 +4930123452 record customer_name:string=Ada name:string=x open:int64=7",
			},
		},
		{
			name: "an object a line",
			text: "{\"number\":\"+4930123451\"}\n\n  {\"number\":\"+4930123452\",\"a\":null}\r\n{\"number\":\"+4930123453\",}\n[]\n{\"number\":\"+4930123454\"} {}\n{\"number\":\"+4930123455\"}",
			want: []string{
				"1 +4930123451",
				"3 +4930123452",
				"no line 4, column 25: is no JSON: invalid character '}' looking for beginning of object key string",
				"no line 5, column 1: is no object",
				"no line 6, column 27: there is more after the object",
				"7 +4930123455",
			},
		},
		{
			name: "objects that are wrong", c: typed,
			text: "[{\"number\":\"+4930123451\",\"customer_name\":\"a\",\n  \"amount\":\"x\"},\n 7, {\"number\":\"+4930123451\",\"phone\":\"+4930123452\"},\n" +
				"{\"number\":4930123453.5,\"customer_name\":\"a\"},{\"number\":{}},{\"customer_name\":\"a\"},{\"variables\":[]},{\"c%\":1}]",
			want: []string{
				`no line 2, column 3 (amount): "x" is no number: write it as 1234.5`,
				"no line 3, column 2: is no object",
				"no line 3, column 29 (phone): is there twice, as number",
				"no line 4, column 2 (number): a spreadsheet has made a decimal of it: give its column the format text and export it again",
				"no line 4, column 46 (number): is no plain value: write a text, a number, true or false",
				"no line 4: there is no number",
				"no line 4, column 94 (variables): is no object",
				`no line 4, column 99 (c%): "c%" cannot be the name of a variable: write letters, digits and _, a letter first`,
			},
		},
		{name: "an array that does not end", text: "[{\"number\":\"+4930123451\"},\n", want: []string{
			"1 +4930123451", "end line 1, column 27: the array does not end",
		}},
		{name: "an array that is no JSON", text: "[{\"number\":\"+4930123451\"}\n x]", want: []string{
			"1 +4930123451", "end line 2, column 2: is no JSON: expected comma after array element",
		}},
		{name: "more after the array", text: "[]\n[]", want: []string{"end line 2: there is more after the end of the array"}},
		{name: "an object over several lines", text: "{\n\"number\": \"+4930123451\"\n}", want: []string{
			"end line 1, column 2: is no whole object: write an object a line, or an array of them",
		}},
		{name: "spaces are an empty file", format: FormatJSON, text: " \n", want: []string{"end line 1: the file is empty"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, r := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text))} {
				got := told(r, c.format, c.c)
				if !slices.Equal(got, c.want) {
					t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
				}
			}
		})
	}
}

// utf16le is a text as UTF-16, the lower byte first, after its mark.
func utf16le(s string) string {
	out := "\xff\xfe"
	for _, r := range s {
		out += string([]byte{byte(r), byte(r >> 8)})
	}
	return out
}

// A file is read as it comes, and what does not end is not waited for.
func TestReadContactsHoldsLittle(t *testing.T) {
	t.Parallel()
	for _, start := range []string{
		"number,name\n+4930123451,\"", "number\n", "[{\"number\":\"", "[", "{\"number\":\"", "", "{\n", "number,name\n+4930123451,a\n+4930123452,",
	} {
		read := 0
		endless := iotest.DataErrReader(io.MultiReader(strings.NewReader(start), readerFunc(func(b []byte) (int, error) {
			for i := range b {
				b[i] = ' '
			}
			read += len(b)
			return len(b), nil
		})))
		var last *Refusal
		for _, no := range ReadContacts(endless, "", Campaign{}) {
			last = no
		}
		if last == nil || !last.Final || read > 8*mostRow {
			t.Errorf("%q: %d bytes were read, last %v", start, read, last)
		}
	}
}

// What the reader fails with is the reader's, not the file's.
func TestReadContactsTellsWhatTheReaderSays(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	for _, text := range []string{"number\n+4930123451\n", "[{\"number\":\"+4930123451\"},", "{\"number\":\"+4930123451\"}\n", "num", ""} {
		var last *Refusal
		for _, no := range ReadContacts(io.MultiReader(strings.NewReader(text), iotest.ErrReader(gone)), "", Campaign{}) {
			last = no
		}
		if last == nil || !last.Final || !errors.Is(last, gone) {
			t.Errorf("%q: %v", text, last)
		}
	}
}

// Who has enough is given no more.
func TestReadContactsStops(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"number\n1\n2\n3\n", "[1,2,3]", "{}\n{}\n{}\n"} {
		n := 0
		for range ReadContacts(strings.NewReader(text), "", Campaign{}) {
			if n++; n == 2 {
				break
			}
		}
		if n != 2 {
			t.Errorf("%q: %d", text, n)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
