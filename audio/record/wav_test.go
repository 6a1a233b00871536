package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestWAVRoundTrip(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rate, channels int }{{8000, 1}, {16000, 2}, {22050, 1}, {48000, 2}} {
		pcm := []int16{0, 1, -1, 32767, -32768, 500}
		var b bytes.Buffer
		if err := WriteWAV(&b, c.rate, c.channels, pcm); err != nil {
			t.Fatal(err)
		}
		if b.Len() != headerSize+2*len(pcm) {
			t.Fatalf("%d bytes", b.Len())
		}
		w, err := ReadWAV(&b)
		if err != nil || w.Rate != c.rate || w.Channels != c.channels || !slices.Equal(w.PCM, pcm) {
			t.Fatalf("read %+v, %v", w, err)
		}
	}
	w := WAV{Rate: 8000, Channels: 2, PCM: []int16{1, 10, 2, 20}}
	if !slices.Equal(w.Channel(0), []int16{1, 2}) || !slices.Equal(w.Channel(1), []int16{10, 20}) {
		t.Fatalf("channels are %v and %v", w.Channel(0), w.Channel(1))
	}
}

// file builds a WAV file of chunks.
func file(chunks ...string) string { return "RIFF\x00\x00\x00\x00WAVE" + strings.Join(chunks, "") }

func chunk(id, body string) string {
	b := binary.LittleEndian.AppendUint32([]byte(id), uint32(len(body)))
	if len(body)%2 == 1 {
		body += "\x00"
	}
	return string(b) + body
}

const mono8k = "\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00"

func TestReadWAVTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"nothing", "", "not a WAV file"},
		{"a text", "hello, I am not a sound file", "not a WAV file"},
		{"no data", file(chunk("fmt ", mono8k)), "ends before its data chunk"},
		{"data first", file(chunk("data", "ab")), "data chunk before its fmt chunk"},
		{"24 bits", file(chunk("fmt ", strings.Replace(mono8k, "\x10\x00", "\x18\x00", 1))), "24 bits: only 16-bit PCM"},
		{"µ-law", file(chunk("fmt ", "\x07"+mono8k[1:])), "format 7"},
		{"six channels", file(chunk("fmt ", mono8k[:2]+"\x06"+mono8k[3:])), "6 channels"},
		{"rate 0", file(chunk("fmt ", mono8k[:4]+"\x00\x00\x00\x00"+mono8k[8:])), "0 Hz is no sample rate"},
		{"short fmt", file(chunk("fmt ", "\x01\x00")), "fmt chunk of 2 bytes"},
		{"cut fmt", file("fmt \x10\x00\x00\x00\x01"), "ends inside its fmt chunk"},
		{"cut chunk", file("LIST\x10\x00\x00\x00\x01"), `ends inside its chunk "LIST"`},
	} {
		if _, err := ReadWAV(strings.NewReader(c.in)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestReadWAVOfOthers(t *testing.T) {
	t.Parallel()
	extensible := "\xfe\xff" + mono8k[2:] + "\x16\x00\x10\x00\x04\x00\x00\x00\x01\x00\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
	for name, in := range map[string]string{
		"other chunks": file(chunk("LIST", "odd"), chunk("fmt ", mono8k), chunk("fact", "abcd"), chunk("data", "\x01\x00\x02\x00")),
		"extensible":   file(chunk("fmt ", extensible), chunk("data", "\x01\x00\x02\x00")),
		"cut off":      file(chunk("fmt ", mono8k), "data\xff\xff\xff\xff\x01\x00\x02\x00\x03"),
	} {
		w, err := ReadWAV(strings.NewReader(in))
		if err != nil || w.Rate != 8000 || !slices.Equal(w.PCM, []int16{1, 2}) {
			t.Errorf("%s: %+v, %v", name, w, err)
		}
	}
}

func TestWriteWAVRefuses(t *testing.T) {
	t.Parallel()
	if err := WriteWAV(io.Discard, 0, 1, nil); err == nil {
		t.Error("0 Hz was written")
	}
	if err := WriteWAV(io.Discard, 8000, 3, nil); err == nil {
		t.Error("3 channels were written")
	}
	if err := WriteWAV(failing{}, 8000, 1, nil); !errors.Is(err, errFailing) {
		t.Errorf("a failing writer gave %v", err)
	}
}

var errFailing = errors.New("no space left on device")

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errFailing }

func FuzzReadWAV(f *testing.F) {
	f.Add([]byte(file(chunk("fmt ", mono8k), chunk("data", "\x01\x00\x02\x00"))))
	f.Add([]byte(file(chunk("LIST", "odd"), "data\xff\xff\xff\xff")))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := ReadWAV(bytes.NewReader(b))
		if err != nil {
			return
		}
		if 2*len(w.PCM) > len(b) || len(w.PCM)%w.Channels != 0 {
			t.Fatalf("%d samples of %d channels from %d bytes", len(w.PCM), w.Channels, len(b))
		}
		var again bytes.Buffer
		if err := WriteWAV(&again, w.Rate, w.Channels, w.PCM); err != nil {
			t.Fatal(err)
		}
		if v, err := ReadWAV(&again); err != nil || !slices.Equal(v.PCM, w.PCM) {
			t.Fatalf("written and read again: %v", err)
		}
	})
}
