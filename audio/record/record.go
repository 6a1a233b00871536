// Package record keeps a call as a stereo WAV file, the caller left and the
// agent right, both at the place of their media time.
//
// It guarantees that the call never waits for the disk: the taps copy a frame
// into a ring and return, and what finds the ring full is dropped and counted.
// The file is a valid one at any time, also of a process that is killed: its
// header is brought up to date every two seconds. When writing fails the
// recording is over, which is told once, and the call goes on. Who listens in to
// a call gets the same sound as it comes, without a file (Stream).
package record

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
)

const (
	ringBytes  = 48 << 10               // of both taps: 1.5 s at 8 kHz, 0.75 s at 16 kHz
	flushEvery = 150 * time.Millisecond // a fifth of the shorter ring
	patchEvery = 2 * time.Second        // of sound between two updates of the header
	lag        = 200 * time.Millisecond // how long one side waits for the other
	longestGap = 15 * time.Minute       // of silence that is written; what comes after more is dropped
	streamGap  = time.Second            // of silence in a stream where neither side told anything; more is left out
)

// Block is how many samples of each side one write has at most.
const Block = 512

// Recorder records one call. Caller and Agent belong to the media plane, each
// to one goroutine; Close may be called by any.
type Recorder struct {
	caller, agent *tap
	rate          int
	masked        atomic.Bool  // the caller's side is silence
	off           atomic.Bool  // writing failed, or it is closed: the taps do nothing
	newest        atomic.Int64 // position after the newest sample of both sides
	stop          chan struct{}
	once          sync.Once
	wg            sync.WaitGroup
	failed        chan error // 1: the one failure there can be

	w       io.Writer // what follows belongs to run, and to Close after it
	file    io.Seeker // w, where it is a file; nil: a stream
	started bool
	base    int64 // position of the file's first sample
	at      int64 // position of the next sample to write
	patched int64 // position the header tells of
	pcm     [2 * Block]int16
	buf     [4 * Block]byte
	err     error
}

// Totals is what became of a recording.
type Totals struct {
	Start         time.Duration // media time of the file's first sample
	Duration      time.Duration // of the file
	Bytes         int64         // of the file
	DroppedCaller time.Duration // lost because the disk was too slow, or came too late
	DroppedAgent  time.Duration
}

// New begins a recording at rate Hz, that of the leg. It writes to w from its
// start, and closes it at the end if it can be closed. A recorder must be
// closed.
func New(w io.WriteSeeker, rate int) (*Recorder, error) {
	if err := checkFormat(rate, 2); err != nil {
		return nil, err
	}
	if _, err := w.Write(header(rate, 2, 0)); err != nil {
		return nil, fmt.Errorf("record: begin file: %w", err)
	}
	return begin(w, w, rate), nil
}

// Stream is New without a file: w gets the samples alone, the caller's and the
// agent's in turn, 16 bits each in little-endian order. They come when both sides
// have told them, at most 0.4 s late.
func Stream(w io.Writer, rate int) (*Recorder, error) {
	if err := checkFormat(rate, 2); err != nil {
		return nil, err
	}
	return begin(w, nil, rate), nil
}

func begin(w io.Writer, file io.Seeker, rate int) *Recorder {
	frame := max(audio.Samples(audio.FrameTime, rate), 1)
	slots := max(ringBytes/(2*2*frame), 16)
	r := &Recorder{
		caller: newTap(slots, frame), agent: newTap(slots, frame),
		rate: rate, w: w, file: file, stop: make(chan struct{}), failed: make(chan error, 1),
	}
	r.wg.Go(r.run)
	return r
}

// Caller records a frame of the caller. A frame that was lost is silence.
func (r *Recorder) Caller(f audio.Frame) {
	if !f.Lost && !r.masked.Load() {
		r.put(r.caller, f.PCM, f.At)
	}
}

// Mask keeps silence in the place of the caller, until it is taken back.
func (r *Recorder) Mask(on bool) { r.masked.Store(on) }

// Hear is Caller: a recorder is a sink.
func (r *Recorder) Hear(f audio.Frame) { r.Caller(f) }

// Agent records what the agent says at a media time of the leg. Where nothing
// is told there is silence.
func (r *Recorder) Agent(pcm []int16, at time.Duration) { r.put(r.agent, pcm, at) }

var _ audio.Sink = (*Recorder)(nil)

func (r *Recorder) put(t *tap, pcm []int16, at time.Duration) {
	if r.off.Load() {
		return
	}
	pos := int64(audio.Samples(at, r.rate))
	newest := r.newest.Load()
	if newest > 0 && pos > newest+int64(audio.Samples(longestGap, r.rate)) { // a clock that jumped
		t.dropped.Add(int64(len(pcm)))
		return
	}
	r.newest.Store(max(newest, pos+int64(len(pcm)))) // of two at once the smaller may win: it is a bound, no position
	t.put(pos, pcm)
}

// Failed gives the error with which the recording ended early, once.
func (r *Recorder) Failed() <-chan error { return r.failed }

// Close writes what is left, closes the file and tells what became of the
// recording. The error is the one the recording ended with. Closing again
// changes nothing.
func (r *Recorder) Close() (Totals, error) {
	r.once.Do(func() { close(r.stop) })
	r.wg.Wait()
	return Totals{
		Start:         audio.Duration(int(r.base), r.rate),
		Duration:      audio.Duration(int(r.at-r.base), r.rate),
		Bytes:         headerSize + 4*(r.at-r.base),
		DroppedCaller: audio.Duration(int(r.caller.dropped.Load()), r.rate),
		DroppedAgent:  audio.Duration(int(r.agent.dropped.Load()), r.rate),
	}, r.err
}

// run is the recorder's goroutine.
func (r *Recorder) run() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for open := true; open; {
		select {
		case <-tick.C:
		case <-r.stop:
			r.off.Store(true)
			open = false
		}
		if err := r.flush(!open); err != nil {
			r.fail(err)
			_ = r.patch() // what is there may still be made readable
			break
		}
	}
	if c, ok := r.w.(io.Closer); ok {
		if err := c.Close(); err != nil && r.err == nil {
			r.fail(fmt.Errorf("record: close file: %w", err))
		}
	}
}

func (r *Recorder) fail(err error) {
	r.off.Store(true)
	r.err = err
	r.failed <- err
}
