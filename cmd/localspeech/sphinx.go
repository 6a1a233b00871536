package main

import (
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"github.com/patchcord/patchcord/internal/localspeech"
)

const sphinxPackage = "libpocketsphinx3 pocketsphinx-en-us"

// logBase is PocketSphinx' unit of likelihood: ln 1.0001.
const logBase = 9.999500033e-05

// sphinx is the recogniser library, opened when the first stream comes.
type sphinx struct {
	mu     sync.Mutex
	opened bool // guarded by mu; what is below is set before it and never again

	parseArgs func(inout, definitions unsafe.Pointer, argc int32, argv **byte, strict int32) unsafe.Pointer
	freeArgs  func(unsafe.Pointer)
	logTo     func(file unsafe.Pointer)

	args    func() unsafe.Pointer
	create  func(config unsafe.Pointer) unsafe.Pointer
	free    func(ps unsafe.Pointer)
	begin   func(ps unsafe.Pointer) int32
	process func(ps unsafe.Pointer, pcm *int16, n uintptr, noSearch, full int32) int32
	end     func(ps unsafe.Pointer) int32

	segments func(ps unsafe.Pointer, score *int32) unsafe.Pointer
	next     func(seg unsafe.Pointer) unsafe.Pointer
	word     func(seg unsafe.Pointer) string
	frames   func(seg unsafe.Pointer, start, end *int32)
	score    func(seg unsafe.Pointer, acoustic, language, backoff *int32) int32
}

func (s *sphinx) open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened {
		return nil
	}
	base, err := open("libsphinxbase.so.3", sphinxPackage)
	if err != nil {
		return err
	}
	ps, err := open("libpocketsphinx.so.3", sphinxPackage)
	if err != nil {
		return err
	}
	err = base.bind(map[string]any{
		"cmd_ln_parse_r": &s.parseArgs,
		"cmd_ln_free_r":  &s.freeArgs,
		"err_set_logfp":  &s.logTo,
	})
	if err != nil {
		return err
	}
	err = ps.bind(map[string]any{
		"ps_args": &s.args, "ps_init": &s.create, "ps_free": &s.free,
		"ps_start_utt": &s.begin, "ps_process_raw": &s.process, "ps_end_utt": &s.end,
		"ps_seg_iter": &s.segments, "ps_seg_next": &s.next, "ps_seg_word": &s.word,
		"ps_seg_frames": &s.frames, "ps_seg_prob": &s.score,
	})
	if err != nil {
		return err
	}
	s.logTo(nil) // its log is thousands of lines; what went wrong is told by what it returns
	s.opened = true
	return nil
}

// decoder is one PocketSphinx decoder, used by one goroutine.
type decoder struct {
	s  *sphinx
	ps unsafe.Pointer
}

var _ localspeech.Decoder = (*decoder)(nil)

func (s *sphinx) decoder(args []string) (localspeech.Decoder, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	argv := make([]*byte, 0, len(args)+1)
	for _, a := range append([]string{"localspeech"}, args...) {
		b := append([]byte(a), 0)
		argv = append(argv, &b[0])
	}
	config := s.parseArgs(nil, s.args(), int32(len(argv)), &argv[0], 1)
	if config == nil {
		return nil, &localspeech.Error{Text: "PocketSphinx refuses its arguments: " + strings.Join(args, " ")}
	}
	defer s.freeArgs(config) // the decoder keeps a count of its own
	ps := s.create(config)
	if ps == nil {
		return nil, &localspeech.Error{Text: fmt.Sprintf(
			"PocketSphinx does not start with: %s: are its model files there? apt-get install %s",
			strings.Join(args, " "), sphinxPackage)}
	}
	return &decoder{s: s, ps: ps}, nil
}

func (d *decoder) Begin() error { return d.check(d.s.begin(d.ps), "begin an utterance") }

func (d *decoder) Process(pcm []int16) error {
	if len(pcm) == 0 {
		return nil
	}
	return d.check(d.s.process(d.ps, &pcm[0], uintptr(len(pcm)), 0, 0), "take samples")
}

func (d *decoder) End() ([]localspeech.Word, error) {
	if err := d.check(d.s.end(d.ps), "end an utterance"); err != nil {
		return nil, err
	}
	return d.Words(), nil
}

func (d *decoder) Words() []localspeech.Word {
	var words []localspeech.Word
	var total int32
	first := int32(-1) // frames are counted since the stream began, not the utterance
	for seg := d.s.segments(d.ps, &total); seg != nil; seg = d.s.next(seg) {
		var start, end, acoustic, language, backoff int32
		d.s.frames(seg, &start, &end)
		d.s.score(seg, &acoustic, &language, &backoff)
		if first < 0 {
			first = start
		}
		words = append(words, localspeech.Word{
			Text: d.s.word(seg), Start: int(start - first), End: int(end - first),
			Acoustic: float32(float64(acoustic) * logBase),
		})
	}
	return words
}

func (d *decoder) Close() { d.s.free(d.ps) }

func (d *decoder) check(code int32, what string) error {
	if code >= 0 {
		return nil
	}
	return &localspeech.Error{Temporary: true, Text: fmt.Sprintf("PocketSphinx does not %s (%d)", what, code)}
}
