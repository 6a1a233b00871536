package localspeech

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/patchcord/patchcord/audio"
)

// Backend does the work of the helper. Its methods are called from many
// goroutines at once. An error that is a *Error says itself whether another
// try is worth it; every other is final.
type Backend interface {
	// Speak hands the sound of text to emit, piece by piece, until emit
	// returns false. emit borrows the samples.
	Speak(voice, text string, emit func(rate int, pcm []int16) bool) error
	// Recogniser makes a decoder of 16 kHz samples from arguments.
	Recogniser(args []string) (Decoder, error)
}

// Decoder recognises one utterance after another, used by one goroutine.
type Decoder interface {
	Begin() error
	Process(pcm []int16) error // 16 kHz
	// Words is the best hypothesis so far; the caller may keep it.
	Words() []Word
	// End settles the utterance and is its hypothesis.
	End() ([]Word, error)
	Close()
}

// DecoderRate is what every [Decoder] is fed, Hz.
const DecoderRate = 16000

// maxQueued is how much sound a recogniser may be behind before its stream
// fails, in frames of about 20 ms: one minute.
const maxQueued = 3000

// Serve is the helper's side: it does what the frames of in ask for and
// returns when in ends, without waiting for work under way: the process is
// about to exit.
func Serve(in io.Reader, out io.Writer, b Backend) error {
	s := &server{
		backend:  b,
		out:      bufio.NewWriterSize(out, 64<<10),
		speakers: make(map[uint32]*speaker), hearers: make(map[uint32]*hearer),
	}
	s.send(Frame{Kind: KindHello, Body: binary.LittleEndian.AppendUint16(nil, Version)})
	r := NewReader(in)
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.take(f); err != nil {
			return err
		}
	}
}

type server struct {
	backend Backend

	writing sync.Mutex // guards out and frame
	out     *bufio.Writer
	frame   []byte

	mu       sync.Mutex // guards the maps
	speakers map[uint32]*speaker
	hearers  map[uint32]*hearer
}

// speaker is a sentence being synthesized.
type speaker struct {
	mu   sync.Mutex
	gone bool
}

func (s *server) send(f Frame) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.frame = AppendFrame(s.frame[:0], f)
	// An error here means that the engine is gone: its end of our standard
	// input tells the reader, which ends the process.
	_, _ = s.out.Write(s.frame)
	_ = s.out.Flush()
}

func (s *server) fail(stream uint32, err error) {
	e := &Error{}
	if !errors.As(err, &e) {
		e = &Error{Text: err.Error()}
	}
	s.send(Frame{Stream: stream, Kind: KindFailure, Body: e.Append(nil)})
}

// take handles one frame. It never waits for a decoder or a voice.
func (s *server) take(f Frame) error {
	switch f.Kind {
	case KindPing:
		s.send(Frame{Kind: KindPong})
	case KindSpeak:
		var m Speak
		if err := m.Parse(f.Body); err != nil {
			return err
		}
		sp := &speaker{}
		s.mu.Lock()
		s.speakers[f.Stream] = sp
		s.mu.Unlock()
		go s.speak(f.Stream, sp, m) // ends with its sentence; nobody waits: the process exits when in does
	case KindRecognise:
		var m Recognise
		if err := m.Parse(f.Body); err != nil {
			return err
		}
		h := newHearer()
		s.mu.Lock()
		s.hearers[f.Stream] = h
		s.mu.Unlock()
		go s.hear(f.Stream, h, m) // ends with close; nobody waits: the process exits when in does
	case KindAudio:
		pcm, err := ParsePCM(nil, f.Body)
		if err != nil {
			return err
		}
		s.queue(f.Stream, job{kind: KindAudio, pcm: pcm})
	case KindBegin, KindEnd:
		s.queue(f.Stream, job{kind: f.Kind})
	case KindClose:
		s.closeStream(f.Stream)
	default:
		return fmt.Errorf("localspeech: %w: kind %d is not for the helper", errFrame, f.Kind)
	}
	return nil
}

// queue hands a job to a recogniser; frames of a stream that is over are late
// and dropped.
func (s *server) queue(stream uint32, j job) {
	s.mu.Lock()
	h := s.hearers[stream]
	s.mu.Unlock()
	if h != nil {
		h.push(j)
	}
}

func (s *server) closeStream(stream uint32) {
	s.mu.Lock()
	sp, h := s.speakers[stream], s.hearers[stream]
	s.mu.Unlock()
	if sp != nil {
		sp.mu.Lock()
		sp.gone = true
		sp.mu.Unlock()
	}
	if h != nil {
		h.push(job{kind: KindClose})
	}
}

func (s *server) speak(stream uint32, sp *speaker, m Speak) {
	var body []byte
	err := s.backend.Speak(m.Voice, m.Text, func(rate int, pcm []int16) bool {
		sp.mu.Lock()
		gone := sp.gone
		sp.mu.Unlock()
		if gone {
			return false
		}
		for len(pcm) > 0 {
			n := min(len(pcm), 16000)
			body = Sound{Rate: rate, PCM: pcm[:n]}.Append(body[:0])
			s.send(Frame{Stream: stream, Kind: KindSound, Body: body})
			pcm = pcm[n:]
		}
		return true
	})
	s.mu.Lock()
	delete(s.speakers, stream)
	s.mu.Unlock()
	if err != nil {
		s.fail(stream, err)
		return
	}
	s.send(Frame{Stream: stream, Kind: KindDone})
}

// hear is one recogniser, from open to close.
func (s *server) hear(stream uint32, h *hearer, m Recognise) {
	err := s.recognise(stream, h, m)
	s.mu.Lock()
	delete(s.hearers, stream)
	s.mu.Unlock()
	if err != nil {
		s.fail(stream, err)
		return
	}
	s.send(Frame{Stream: stream, Kind: KindDone})
}

func (s *server) recognise(stream uint32, h *hearer, m Recognise) error {
	if m.Rate < 8000 || m.Rate > 48000 {
		return &Error{Text: fmt.Sprintf("samples at %d Hz: want 8000 to 48000", m.Rate)}
	}
	d, err := s.backend.Recogniser(m.Args)
	if err != nil {
		return err
	}
	defer d.Close()
	u := utterance{
		Decoder: d,
		convert: audio.NewResampler(m.Rate, DecoderRate),
		every:   int(m.Every * DecoderRate / time.Second),
	}
	s.send(Frame{Stream: stream, Kind: KindOpened})
	for {
		jobs, err := h.pop()
		if err != nil {
			return err
		}
		for _, j := range jobs {
			if j.kind == KindClose {
				return u.abandon()
			}
			hyp, err := u.do(j)
			if err != nil {
				return err
			}
			if hyp != nil {
				s.send(Frame{Stream: stream, Kind: KindHypothesis, Body: hyp.Append(nil)})
			}
		}
	}
}
