package main

import (
	"fmt"
	"regexp"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/patchcord/patchcord/internal/localspeech"
)

const flitePackage = "libflite1"

// chunkSamples is how much sound flite hands over at a time, at the voice's
// rate: 50 ms at 16 kHz.
const chunkSamples = 800

// flite is the voice library, opened when the first sentence comes.
type flite struct {
	mu     sync.Mutex // guards all below; not held while speaking
	opened bool
	voices map[string]*voice

	init          func() int32
	newInfo       func() *streamingInfo
	infoValue     func(*streamingInfo) unsafe.Pointer
	featureSet    func(features unsafe.Pointer, name string, value unsafe.Pointer)
	featureRemove func(features unsafe.Pointer, name string) int32
	synthesize    func(text string, voice *cstVoice) unsafe.Pointer
	freeUtterance func(unsafe.Pointer)
	callback      uintptr
}

// voice is one voice. flite keeps the state of streaming on the voice itself,
// so it speaks one sentence at a time.
type voice struct {
	mu   sync.Mutex
	c    *cstVoice
	emit func(rate int, pcm []int16) bool // of the sentence being spoken; guarded by mu
	any  bool                             // a sample came; guarded by mu
}

// The C structs, as flite 2.2 lays them out (cst_voice.h, cst_audio.h,
// cst_wave.h).
type (
	cstVoice struct {
		name     *byte
		features unsafe.Pointer
	}
	streamingInfo struct {
		minBuffer int32
		_         int32
		callback  uintptr
		utterance unsafe.Pointer
		item      unsafe.Pointer
		userData  uintptr
	}
	cstWave struct {
		kind     *byte
		rate     int32
		samples  int32
		channels int32
		_        int32
		pcm      *int16
	}
)

// voiceName is what may become part of a library's name.
var voiceName = regexp.MustCompile(`^[a-z0-9]{1,16}$`)

func (f *flite) speak(name, text string, emit func(rate int, pcm []int16) bool) error {
	v, err := f.voice(name)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.emit, v.any = emit, false
	defer func() { v.emit = nil }()
	info := f.newInfo() // freed with the feature
	info.minBuffer, info.callback = chunkSamples, f.callback
	key := uintptr(unsafe.Pointer(info))
	streams.Store(key, v)
	f.featureSet(v.c.features, "streaming_info", f.infoValue(info))
	if u := f.synthesize(text, v.c); u != nil {
		f.freeUtterance(u)
	}
	f.featureRemove(v.c.features, "streaming_info")
	streams.Delete(key)
	if !v.any {
		return &localspeech.Error{Text: fmt.Sprintf("flite made no sound of %q", text)}
	}
	return nil
}

// voice is the voice of that name, loaded once.
func (f *flite) voice(name string) (*voice, error) {
	if !voiceName.MatchString(name) {
		return nil, &localspeech.Error{Text: fmt.Sprintf("%q is no flite voice: want one of rms, slt, awb, kal, kal16", name)}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.openLocked(); err != nil {
		return nil, err
	}
	if v := f.voices[name]; v != nil {
		return v, nil
	}
	lib, err := open("libflite_cmu_us_"+name+".so.1", flitePackage)
	if err != nil {
		return nil, fmt.Errorf("voice %q: %w", name, err)
	}
	var register func(dir *byte) *cstVoice
	if err := lib.bind(map[string]any{"register_cmu_us_" + name: &register}); err != nil {
		return nil, err
	}
	v := &voice{c: register(nil)}
	if v.c == nil {
		return nil, &localspeech.Error{Text: fmt.Sprintf("flite does not load its voice %q", name)}
	}
	f.voices[name] = v
	return v, nil
}

func (f *flite) openLocked() error {
	if f.opened {
		return nil
	}
	lib, err := open("libflite.so.1", flitePackage)
	if err != nil {
		return err
	}
	err = lib.bind(map[string]any{
		"flite_init":               &f.init,
		"new_audio_streaming_info": &f.newInfo,
		"audio_streaming_info_val": &f.infoValue,
		"feat_set":                 &f.featureSet,
		"feat_remove":              &f.featureRemove,
		"flite_synth_text":         &f.synthesize,
		"delete_utterance":         &f.freeUtterance,
	})
	if err != nil {
		return err
	}
	for _, name := range []string{"libflite_cmulex.so.1", "libflite_usenglish.so.1"} {
		if _, err := open(name, flitePackage); err != nil {
			return err
		}
	}
	f.init()
	f.voices = make(map[string]*voice)
	f.callback = purego.NewCallback(chunk)
	f.opened = true
	return nil
}

// streams finds the voice of a callback by its streaming info: C has no other
// way to tell.
var streams sync.Map // uintptr of *streamingInfo to *voice

// What the callback answers (cst_audio.h).
const (
	streamContinue = 0
	streamStop     = ^uintptr(0) // -1
)

// chunk is flite's cst_audio_stream_callback: it is called inside of
// flite_synth_text, on the thread that holds the voice's lock.
func chunk(w *cstWave, start, size, _ int32, info uintptr) uintptr {
	found, ok := streams.Load(info)
	if !ok || w == nil || w.pcm == nil || start < 0 || size < 0 {
		return streamStop
	}
	v, _ := found.(*voice)
	if size == 0 {
		return streamContinue
	}
	v.any = true
	pcm := unsafe.Slice((*int16)(unsafe.Add(unsafe.Pointer(w.pcm), 2*int(start))), size)
	if !v.emit(int(w.rate), pcm) {
		return streamStop
	}
	return streamContinue
}
