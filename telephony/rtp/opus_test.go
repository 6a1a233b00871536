package rtp

import (
	"bytes"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/telephony"
)

func opusParams() Params {
	p := negotiated()
	p.Codec, p.PT, p.EventPT, p.EventClock = "opus", 111, 126, 48000
	return p
}

// singer sends Opus of a loud tone.
type singer struct {
	voice

	enc codec.Codec
	at  int
}

func newSinger(t *testing.T) *singer {
	t.Helper()
	enc, err := codec.New("opus")
	if err != nil {
		t.Fatal(err)
	}
	return &singer{voice: voice{src: peer, ssrc: 1}, enc: enc}
}

func (s *singer) packet() []byte {
	pcm, b := make([]int16, 320), make([]byte, 1275)
	for i := range pcm {
		pcm[i] = []int16{9000, -9000}[(s.at+i)/20%2] // 400 Hz
	}
	s.at += len(pcm)
	return b[:s.enc.Encode(b, pcm)]
}

func (s *singer) send(r *rig, payload []byte) {
	r.from(s.src, header{pt: 111, seq: s.seq, ts: s.ts, ssrc: s.ssrc}, payload)
	s.seq++
	s.ts += 960
}

// TestOpusStream: packets of any size are frames of 20 ms at 16 kHz, one in ten
// is lost and one in ten is no Opus, and nobody hears it.
func TestOpusStream(t *testing.T) {
	t.Parallel()
	r := newRig(t, opusParams())
	s := newSinger(t)
	frames := 0
	sink := r.ends.Load().sink
	r.Connect(sinkFunc(func(f audio.Frame) {
		if frames++; f.Rate != 16000 || len(f.PCM) != 320 {
			t.Fatalf("frame of %d samples at %d Hz", len(f.PCM), f.Rate)
		}
		sink.Hear(f)
	}), &talk{})
	for n := range 300 {
		p := s.packet()
		if n%10 == 3 {
			p = append(p[:1:1], bytes.Repeat([]byte{0xA5}, 3)...) // its own kind and length, and nonsense in it
		}
		s.send(r, p)
		if n%10 == 7 {
			r.rtp.in = r.rtp.in[:len(r.rtp.in)-1]
		}
		r.step()
	}
	r.publishNow()
	st := r.Stats()
	if st.PacketsLost != 30 || st.Concealed < 28 || st.Concealed > 40 {
		t.Errorf("%d lost, %d concealed, want 30", st.PacketsLost, st.Concealed)
	}
	if quiet := frames - r.loudFrames(); quiet > 40 {
		t.Errorf("%d frames of %d are quiet", quiet, frames)
	}
	if st.BufferDelay > 60*time.Millisecond {
		t.Errorf("the buffer waits for %v: its clock is wrong", st.BufferDelay)
	}
	hs, payloads, _ := r.sent()
	if len(hs) < 299 {
		t.Fatalf("%d packets sent", len(hs))
	}
	for i, h := range hs {
		if h.pt != 111 || h.ts != hs[0].ts+uint32(i)*960 || len(payloads[i]) == 0 || len(payloads[i]) > 200 {
			t.Fatalf("packet %d: %+v, %d bytes", i, h, len(payloads[i]))
		}
	}
}

// TestOpusPackets of other lengths: what is asked for is sent where Opus has it.
func TestOpusPackets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		asked time.Duration
		ticks uint32
	}{
		{10 * time.Millisecond, 480},
		{30 * time.Millisecond, 960},
		{40 * time.Millisecond, 1920},
		{60 * time.Millisecond, 2880},
	} {
		p := opusParams()
		p.PTime = c.asked
		r := newRig(t, p)
		r.Connect(nil, &talk{})
		for range 24 {
			r.tick(r.sh, r.now)
			r.answer(r.sh, r.now+replySlots*tickTime)
			r.betweenTicks(r.sh, r.now+replySlots*tickTime+10*time.Millisecond)
			r.now += audio.FrameTime
		}
		hs, payloads, _ := r.sent()
		spec, _ := codec.Lookup("opus")
		for i := 1; i < len(hs); i++ {
			if hs[i].ts-hs[i-1].ts != c.ticks || spec.Ticks(spec.Samples(payloads[i])) != c.ticks {
				t.Fatalf("asked for %v: packet %d is %d ticks after the one before and holds %d",
					c.asked, i, hs[i].ts-hs[i-1].ts, spec.Ticks(spec.Samples(payloads[i])))
			}
		}
		if len(hs) < 8 {
			t.Errorf("asked for %v: %d packets in 480 ms", c.asked, len(hs))
		}
	}
}

func TestOpusTickDoesNotAllocate(t *testing.T) {
	r := newRig(t, opusParams())
	r.Connect(&ear{}, &talk{})
	s := newSinger(t)
	ring := make([][]byte, 16)
	for i := range ring {
		ring[i] = append(make([]byte, headerSize), s.packet()...)
	}
	out, packets := r.rtp, make([]datagram, 1)
	r.Session.rtp = &silentWire{wire: out}
	step := func() {
		b := ring[s.seq%16]
		header{pt: 111, seq: s.seq, ts: s.ts, ssrc: 1}.put(b)
		s.seq++
		s.ts += 960
		packets[0] = datagram{b: b, peer: peer, at: r.now}
		out.in = packets
		r.reports.next = r.now + time.Hour
		r.step()
	}
	for range 30 {
		step() // the codec makes what it needs
	}
	if got := testing.AllocsPerRun(500, step); got != 0 {
		t.Errorf("%v allocations per tick", got)
	}
}

// TestDigitsAt48kHz: a press longer than the field of its duration is sent in
// segments, and read as one.
func TestDigitsAt48kHz(t *testing.T) {
	t.Parallel()
	r := newRig(t, opusParams())
	r.steps(2)
	job, err := newDigitJob("5", telephony.Tone{Duration: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	r.digits.Store(job)
	for r.digits.Load() != nil {
		r.step()
	}
	hs, payloads, _ := r.sent()
	k := keyReader{clock: 48000, stamps: 48000}
	var got []telephony.Digit
	segments := map[uint32]bool{}
	for i, h := range hs {
		if h.pt != 126 {
			continue
		}
		segments[h.ts] = true
		e, _ := parseKeyEvent(payloads[i])
		done, n := k.packet(h.seq, h.ts, h.marker, e, time.Duration(i)*20*time.Millisecond)
		got = append(got, done[:n]...)
	}
	want := telephony.Digit{Key: '5', Duration: 2 * time.Second, Source: "rfc4733"}
	if len(got) != 1 || got[0] != want || len(segments) != 2 {
		t.Errorf("read %v in %d segments, want %v in 2", got, len(segments), want)
	}
}
