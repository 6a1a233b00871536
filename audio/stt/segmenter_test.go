package stt

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// count is samples from a to below b, each its own number.
func count(a, b int) []int16 {
	var pcm []int16
	for i := a; i < b; i++ {
		pcm = append(pcm, int16(i))
	}
	return pcm
}

// TestSegmenter_convB7: an utterance begins 600 ms before its edge, in one piece.
func TestSegmenter_convB7(t *testing.T) {
	t.Parallel()
	for _, piece := range []int{1, 7, 160, 1000, 4799, 4800, 4801, 20000} {
		s := NewSegmenter(8000)
		for i := 0; i < 20000; i += piece {
			if voice, cut := s.Send(count(i, min(20000, i+piece))); voice != nil || cut {
				t.Fatal("sound before the utterance is given out")
			}
		}
		before, opened := s.Begin()
		if !opened || !slices.Equal(before, count(20000-4800, 20000)) {
			t.Errorf("pieces of %d: the pre-roll is %d samples, %d…", piece, len(before), before[:1])
		}
		if s.Start() != 1900*time.Millisecond {
			t.Errorf("it begins at %v", s.Start())
		}
	}
}

func TestNothingIsInTwoUtterances(t *testing.T) {
	t.Parallel()
	s := NewSegmenter(8000)
	s.Send(count(0, 8000))
	s.Begin()
	if voice, _ := s.Send(count(8000, 8160)); !slices.Equal(voice, count(8000, 8160)) {
		t.Error("the sound of the utterance is not given out")
	}
	start, end, closed := s.End()
	if got := fmt.Sprint(start, end, closed); got != "400ms 1.02s true" {
		t.Error(got)
	}
	s.Send(count(8160, 8320))
	if before, _ := s.Begin(); !slices.Equal(before, count(8160, 8320)) {
		t.Errorf("the pre-roll reaches %d samples into the utterance before", len(before)-160)
	}
}

func TestEdgesTwice(t *testing.T) {
	t.Parallel()
	s := NewSegmenter(16000)
	if _, _, closed := s.End(); closed {
		t.Error("an utterance ends that never began")
	}
	if before, opened := s.Begin(); !opened || len(before) != 0 || !s.On() {
		t.Error("it does not begin")
	}
	if _, opened := s.Begin(); opened {
		t.Error("it begins twice")
	}
	if _, cut := s.Send(make([]int16, 16000*30)); !cut {
		t.Error("an utterance of 30 s is not cut")
	}
}

func BenchmarkSegmenter(b *testing.B) {
	s := NewSegmenter(8000)
	pcm := make([]int16, 160)
	b.ReportAllocs()
	for b.Loop() {
		s.Send(pcm)
	}
}
