package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// headerSize is the length of the header that WriteWAV and Recorder write:
//
//	 0 "RIFF"  4 bytes after this field
//	 8 "WAVE"
//	12 "fmt "  16 size  20 format  22 channels  24 rate  28 bytes/s  32 bytes/sample of all channels  34 bits
//	36 "data"  40 bytes of samples  44 samples, little endian
const headerSize = 44

const (
	formatPCM        = 1
	formatExtensible = 0xFFFE
	maxData          = 1<<32 - 1 - headerSize // sizes have 32 bits
)

// WAV is sound of a file: 16-bit PCM.
type WAV struct {
	Rate     int     // Hz
	Channels int     // 1 or 2
	PCM      []int16 // of two channels in turn
}

// Channel is the samples of one channel, 0 or 1; of a mono file either is the
// one there is.
func (w *WAV) Channel(n int) []int16 {
	if w.Channels < 2 {
		return w.PCM
	}
	pcm := make([]int16, 0, len(w.PCM)/w.Channels)
	for i := n; i < len(w.PCM); i += w.Channels {
		pcm = append(pcm, w.PCM[i])
	}
	return pcm
}

// header makes the 44 bytes before data bytes of samples.
func header(rate, channels int, data uint32) []byte {
	b := make([]byte, 0, headerSize)
	le := binary.LittleEndian
	b = append(b, "RIFF"...)
	b = le.AppendUint32(b, data+headerSize-8)
	b = append(b, "WAVEfmt "...)
	b = le.AppendUint32(b, 16)
	b = le.AppendUint16(b, formatPCM)
	b = le.AppendUint16(b, uint16(channels))
	b = le.AppendUint32(b, uint32(rate))
	b = le.AppendUint32(b, uint32(rate*channels*2))
	b = le.AppendUint16(b, uint16(channels*2))
	b = le.AppendUint16(b, 16)
	b = append(b, "data"...)
	return le.AppendUint32(b, data)
}

func checkFormat(rate, channels int) error {
	if rate < 1 || rate > 384000 {
		return fmt.Errorf("record: %d Hz is no sample rate", rate)
	}
	if channels != 1 && channels != 2 {
		return fmt.Errorf("record: %d channels: only mono and stereo are known", channels)
	}
	return nil
}

// WriteWAV writes a whole file; of two channels pcm holds the samples in turn.
func WriteWAV(w io.Writer, rate, channels int, pcm []int16) error {
	if err := checkFormat(rate, channels); err != nil {
		return err
	}
	if len(pcm) > maxData/2 {
		return fmt.Errorf("record: %d samples are more than a WAV file can hold", len(pcm))
	}
	b := header(rate, channels, uint32(2*len(pcm)))
	for _, v := range pcm {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("record: write WAV: %w", err)
	}
	return nil
}

var errNotWAV = errors.New("record: not a WAV file: it does not begin with RIFF and WAVE")

// ReadWAV reads a file of 16-bit PCM, mono or stereo, of any rate. Chunks that
// hold no sound are passed over. Of a file that was cut off, what is there is
// read: a recording may be looked at while it is made.
func ReadWAV(r io.Reader) (*WAV, error) {
	var b [12]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return nil, errNotWAV
	}
	if string(b[:4]) != "RIFF" || string(b[8:]) != "WAVE" {
		return nil, errNotWAV
	}
	var w *WAV
	for {
		if _, err := io.ReadFull(r, b[:8]); err != nil {
			return nil, fmt.Errorf("record: WAV file ends before its data chunk: %w", err)
		}
		id, size := string(b[:4]), int64(binary.LittleEndian.Uint32(b[4:8]))
		switch {
		case id == "data" && w == nil:
			return nil, errors.New("record: WAV file has its data chunk before its fmt chunk")
		case id == "data":
			return w, w.read(r, size)
		case id == "fmt ":
			var err error
			if w, err = readFormat(r, size); err != nil {
				return nil, err
			}
		default:
			if _, err := io.CopyN(io.Discard, r, size+size&1); err != nil {
				return nil, fmt.Errorf("record: WAV file ends inside its chunk %q: %w", id, err)
			}
		}
	}
}

// readFormat reads the fmt chunk.
func readFormat(r io.Reader, size int64) (*WAV, error) {
	if size < 16 || size > 1024 {
		return nil, fmt.Errorf("record: WAV file has a fmt chunk of %d bytes, want 16 to 1024", size)
	}
	b := make([]byte, size+size&1)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, fmt.Errorf("record: WAV file ends inside its fmt chunk: %w", err)
	}
	le := binary.LittleEndian
	format, bits := le.Uint16(b), le.Uint16(b[14:])
	if format == formatExtensible && size >= 26 {
		format = le.Uint16(b[24:]) // the sub-format's first bytes
	}
	if format != formatPCM || bits != 16 {
		return nil, fmt.Errorf("record: WAV file of format %d with %d bits: only 16-bit PCM (format 1) is read", format, bits)
	}
	w := &WAV{Rate: int(le.Uint32(b[4:])), Channels: int(le.Uint16(b[2:]))}
	return w, checkFormat(w.Rate, w.Channels)
}

// read reads the samples, whole ones of all channels.
func (w *WAV) read(r io.Reader, size int64) error {
	b, err := io.ReadAll(io.LimitReader(r, size))
	if err != nil {
		return fmt.Errorf("record: read WAV samples: %w", err)
	}
	n := len(b) / (2 * w.Channels) * w.Channels
	w.PCM = make([]int16, n)
	for i := range w.PCM {
		w.PCM[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return nil
}
