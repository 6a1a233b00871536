package localspeech

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// FrameTime is the length of one frame of the recogniser's features; the
// times of words are counted in them.
const FrameTime = 10 * time.Millisecond

// Speak asks for a sentence in a voice.
type Speak struct {
	Voice string // "slt"
	Text  string
}

// Recognise opens a recogniser.
type Recognise struct {
	Rate  int           // Hz, of the samples that will come
	Every time.Duration // of speech between two interim hypotheses; 0: none
	Args  []string      // of the decoder: "-lm", "/tmp/x.lm", …
}

// Sound is some of a sentence.
type Sound struct {
	Rate int // Hz
	PCM  []int16
}

// Word is a word, silence or noise of a hypothesis.
type Word struct {
	Text       string
	Start, End int     // frames of FrameTime since the utterance began, End included
	Acoustic   float32 // natural log likelihood of its sound, against the best sound of each frame
}

// Hypothesis is what was understood so far.
type Hypothesis struct {
	Final bool
	Words []Word
}

// Error is a failure of the helper or in it.
type Error struct {
	Temporary bool // another try may go well: the helper died and is started again
	Text      string
}

func (e *Error) Error() string { return e.Text }

// Append appends the body of the message.
func (m Speak) Append(dst []byte) []byte {
	return appendString(appendString(dst, m.Voice), m.Text)
}

// Parse reads the body of the message.
func (m *Speak) Parse(body []byte) error {
	c := cursor{b: body}
	*m = Speak{Voice: c.string(), Text: c.string()}
	return c.end("speak")
}

// Append appends the body of the message.
func (m Recognise) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.Rate))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.Every.Milliseconds()))
	return appendStrings(dst, m.Args)
}

// Parse reads the body of the message.
func (m *Recognise) Parse(body []byte) error {
	c := cursor{b: body}
	*m = Recognise{
		Rate:  int(c.uint32()),
		Every: time.Duration(c.uint32()) * time.Millisecond,
		Args:  c.strings(),
	}
	return c.end("recognise")
}

// Append appends the body of the message.
func (m Sound) Append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(m.Rate))
	return AppendPCM(dst, m.PCM)
}

// Parse reads the body of the message.
func (m *Sound) Parse(body []byte) error {
	c := cursor{b: body}
	rate := c.uint32()
	if c.bad || rate == 0 || rate > 192000 {
		return fmt.Errorf("localspeech: %w: sound at %d Hz", errFrame, rate)
	}
	pcm, err := ParsePCM(nil, c.b)
	*m = Sound{Rate: int(rate), PCM: pcm}
	return err
}

// Append appends the body of the message.
func (m Hypothesis) Append(dst []byte) []byte {
	dst = appendBool(dst, m.Final)
	return appendWords(dst, m.Words)
}

// Parse reads the body of the message.
func (m *Hypothesis) Parse(body []byte) error {
	c := cursor{b: body}
	*m = Hypothesis{Final: c.bool(), Words: c.words()}
	return c.end("hypothesis")
}

// Append appends the body of the message.
func (e *Error) Append(dst []byte) []byte {
	return appendString(appendBool(dst, e.Temporary), e.Text)
}

// Parse reads the body of the message.
func (e *Error) Parse(body []byte) error {
	c := cursor{b: body}
	*e = Error{Temporary: c.bool(), Text: c.string()}
	return c.end("failure")
}

// AppendPCM appends samples.
func AppendPCM(dst []byte, pcm []int16) []byte {
	for _, s := range pcm {
		dst = binary.LittleEndian.AppendUint16(dst, uint16(s))
	}
	return dst
}

// ParsePCM appends the samples of body to dst.
func ParsePCM(dst []int16, body []byte) ([]int16, error) {
	if len(body)%2 != 0 {
		return dst, fmt.Errorf("localspeech: %w: %d bytes of 16-bit samples", errFrame, len(body))
	}
	for i := 0; i < len(body); i += 2 {
		dst = append(dst, int16(binary.LittleEndian.Uint16(body[i:])))
	}
	return dst, nil
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// appendString cuts what a uint16 cannot count.
func appendString(dst []byte, s string) []byte {
	s = s[:min(len(s), math.MaxUint16)]
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

func appendStrings(dst []byte, list []string) []byte {
	list = list[:min(len(list), math.MaxUint16)]
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(list)))
	for _, s := range list {
		dst = appendString(dst, s)
	}
	return dst
}

func appendWords(dst []byte, list []Word) []byte {
	list = list[:min(len(list), math.MaxUint16)]
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(list)))
	for _, w := range list {
		dst = appendString(dst, w.Text)
		dst = binary.LittleEndian.AppendUint32(dst, uint32(w.Start))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(w.End))
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(w.Acoustic))
	}
	return dst
}

// cursor reads a body from front to back; bad stays once a read goes past the
// end, and every later read is zero.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if c.bad || len(c.b) < n {
		c.bad = true
		return make([]byte, min(n, 8))
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) bool() bool     { return c.take(1)[0] != 0 }
func (c *cursor) uint16() int    { return int(binary.LittleEndian.Uint16(c.take(2))) }
func (c *cursor) uint32() uint32 { return binary.LittleEndian.Uint32(c.take(4)) }

func (c *cursor) string() string {
	n := c.uint16()
	if s := c.take(n); !c.bad {
		return string(s)
	}
	return ""
}

func (c *cursor) strings() []string {
	var list []string
	for n := c.uint16(); n > 0 && !c.bad; n-- {
		list = append(list, c.string())
	}
	return list
}

func (c *cursor) words() []Word {
	var list []Word
	for n := c.uint16(); n > 0 && !c.bad; n-- {
		list = append(list, Word{
			Text:     c.string(),
			Start:    int(c.uint32()),
			End:      int(c.uint32()),
			Acoustic: math.Float32frombits(c.uint32()),
		})
	}
	return list
}

func (c *cursor) end(what string) error {
	switch {
	case c.bad:
		return fmt.Errorf("localspeech: %w: %s is cut short", errFrame, what)
	case len(c.b) > 0:
		return fmt.Errorf("localspeech: %w: %d bytes after %s", errFrame, len(c.b), what)
	}
	return nil
}
