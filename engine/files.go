package engine

import (
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio/record"
	"github.com/patchcord/patchcord/engine/replay"
)

// create makes a file of the call's own in a folder.
func (s *session) create(dir, ending string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	path := filepath.Join(dir, string(s.id)+ending)
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600) //nolint:gosec // the folder is the operator's
}

// openRecording starts the stereo file of the call: caller left, agent right.
func (s *session) openRecording() {
	if s.e.cfg.RecordingDir == "" || s.order.Unrecorded || s.agent.Recording != nil && !*s.agent.Recording {
		return
	}
	f, err := s.create(s.e.cfg.RecordingDir, ".wav")
	if err != nil {
		s.recordingFailed(err)
		return
	}
	rec, err := record.New(f, s.rate)
	if err != nil {
		_ = f.Close()
		s.recordingFailed(err)
		return
	}
	s.rec, s.record.Recording, s.unrecorded = rec, f.Name(), rec.Failed()
}

// recordingFailed tells that no more of the call is recorded. It goes on.
func (s *session) recordingFailed(err error) {
	s.log.Warn("recording", zap.Error(err))
	s.event(EventRecordingFailed, F("error", err.Error()))
}

// closeRecording ends the recording; one of a call that was never answered
// goes.
func (s *session) closeRecording() {
	if s.rec == nil {
		return
	}
	if _, err := s.rec.Close(); err != nil {
		s.log.Warn("recording", zap.Error(err))
	}
	if !s.answered {
		_ = os.Remove(s.record.Recording) // nothing is in it
		s.record.Recording = ""
	}
}

// openJournal begins to keep what the call's machine is told.
func (s *session) openJournal() {
	if s.e.cfg.JournalDir == "" {
		return
	}
	f, err := s.create(s.e.cfg.JournalDir, ".jsonl")
	if err != nil {
		s.log.Warn("journal", zap.Error(err))
		return
	}
	h := replay.Header{CallID: string(s.id), Agent: string(s.record.Agent), Started: s.start}
	if s.journal, err = replay.New(f, h, s.m.Policy()); err != nil {
		s.log.Warn("journal", zap.Error(err))
		_ = f.Close()
	}
}

func (s *session) closeJournal() {
	if s.journal == nil {
		return
	}
	if err := s.journal.Close(); err != nil {
		s.log.Warn("journal", zap.Error(err))
	}
}
