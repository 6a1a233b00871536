// Package localspeech is the pipe between the engine and its helper process,
// where the C libraries of the local voice and recogniser live: a crash in
// them ends the helper, never a call.
//
// Both directions carry frames, numbers little endian:
//
//	0        4          8      9
//	+--------+----------+------+--------------
//	| size   | stream   | kind | body …
//	+--------+----------+------+--------------
//	  uint32   uint32     byte   size-5 bytes
//
// size counts what follows it and is at most [MaxFrame]. Streams are numbered
// by the client, from 1; 0 is the process itself. A string is a uint16 length
// and its bytes, a list a uint16 count and its members, samples are int16.
//
//	kind             to      body
//	hello            client  uint16 version; the first frame of the helper
//	ping, pong       helper, client  nothing; a helper that does not answer is killed
//	speak            helper  voice, text
//	sound            client  uint32 rate in Hz, samples
//	recognise        helper  uint32 rate in Hz, uint32 interim interval in ms, list of the decoder's arguments
//	opened           client  nothing; the recogniser is ready
//	audio            helper  samples, of the utterance that is open
//	begin, end       helper  nothing; the edges of an utterance
//	hypothesis       client  byte final, list of words
//	close            helper  nothing; give the stream up
//	done             client  nothing; the last frame of a stream that went well
//	failure          client  byte temporary, text; the last frame of one that did not
//
// The helper ends when its standard input does. [Process] is the engine's side:
// it starts the helper, carries any number of streams over the one pair of
// pipes, and starts it again when it dies. [Serve] is the helper's side.
package localspeech

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Version is what hello carries; both sides must have the same.
const Version = 1

// MaxFrame is the largest size of a frame, bytes after the size field.
const MaxFrame = 1 << 20

const headSize = 9 // bytes of size, stream and kind

// Kind is what a frame is.
type Kind byte

// The kinds of frames.
const (
	KindHello Kind = iota + 1
	KindPing
	KindPong
	KindSpeak
	KindSound
	KindRecognise
	KindOpened
	KindAudio
	KindBegin
	KindEnd
	KindHypothesis
	KindClose
	KindDone
	KindFailure
	kindEnd
)

// Frame is one message. Body is borrowed from the reader until its next frame.
type Frame struct {
	Stream uint32
	Kind   Kind
	Body   []byte
}

// errFrame is wrapped by every complaint about bytes that are no frame.
var errFrame = errors.New("malformed frame")

// AppendFrame appends the bytes of f.
func AppendFrame(dst []byte, f Frame) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(f.Body)+headSize-4))
	dst = binary.LittleEndian.AppendUint32(dst, f.Stream)
	dst = append(dst, byte(f.Kind))
	return append(dst, f.Body...)
}

// Reader reads frames.
type Reader struct {
	r   *bufio.Reader
	buf []byte
}

// NewReader reads frames from r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 64<<10)}
}

// Next is the next frame. io.EOF is an end between frames; an end inside of
// one is io.ErrUnexpectedEOF.
func (r *Reader) Next() (Frame, error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return Frame{}, err
	}
	size := binary.LittleEndian.Uint32(head[0:])
	if size < headSize-4 || size > MaxFrame {
		return Frame{}, fmt.Errorf("localspeech: %w: size %d, want 5 to %d", errFrame, size, MaxFrame)
	}
	f := Frame{Stream: binary.LittleEndian.Uint32(head[4:]), Kind: Kind(head[8])}
	if f.Kind == 0 || f.Kind >= kindEnd {
		return Frame{}, fmt.Errorf("localspeech: %w: kind %d", errFrame, f.Kind)
	}
	n := int(size) - (headSize - 4)
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	f.Body = r.buf[:n]
	if _, err := io.ReadFull(r.r, f.Body); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	return f, nil
}
