// Package pocketsphinx recognises the sentences of a file with PocketSphinx, in
// the helper process of internal/localspeech: a small vocabulary, offline.
//
// A trigram model and a dictionary are built from the file (phrases) when the
// provider is made, and kept in a folder of their own until Close. A word that
// nobody knows how to say is refused then, with its line.
//
// What lies between two edges of Stream.Speech, and 600 ms before, is an
// utterance: Interim events about every 200 ms of speech, with the words that
// two looks in a row agree on, and one Final soon after its end, with the times
// of its words. What is not of the vocabulary is not guessed: an utterance whose
// sounds fit badly, or whose words do not follow one another as those of the
// file do, is a Final without text (verdict.go says how, and with which figures).
package pocketsphinx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/internal/localspeech"
)

// Name is the provider's name in errors and in configuration.
const Name = "pocketsphinx"

// Helper is the helper process, shared with the voice flite.
type Helper = localspeech.Process

// Config of the recogniser.
type Config struct {
	// Phrases is the file of sentences that can be understood.
	Phrases string `yaml:"phrases"`
	// Reject is how sure of an utterance the recogniser must be, 0 to 1: below,
	// it was not understood. Default 0.5.
	Reject float64 `yaml:"reject"`
	// Interim is the time of speech between two interim hypotheses.
	// Default 200 ms.
	Interim time.Duration `yaml:"interim"`
	// Model is the folder with the acoustic model en-us and its dictionary
	// cmudict-en-us.dict. Default that of Debian's package pocketsphinx-en-us.
	Model string `yaml:"model"`
	// Helper is the path of the localspeech binary, when no running helper is
	// handed to New. Default: beside the running binary, then on PATH.
	Helper string `yaml:"helper"`
	// Dir is what Phrases is relative to. Default: the working folder.
	Dir string `yaml:"-"`
}

func (c Config) withDefaults() Config {
	if c.Reject == 0 {
		c.Reject = 0.5
	}
	if c.Interim == 0 {
		c.Interim = 200 * time.Millisecond
	}
	if c.Model == "" {
		c.Model = "/usr/share/pocketsphinx/model/en-us"
	}
	if c.Phrases != "" && !filepath.IsAbs(c.Phrases) {
		c.Phrases = filepath.Join(c.Dir, c.Phrases)
	}
	return c
}

// Provider recognises through a helper process.
type Provider struct {
	config Config
	helper *Helper
	own    bool   // helper was made here and is closed here
	dir    string // of the language model and the dictionary
	judge  judge
}

var _ stt.Provider = (*Provider)(nil)

// New builds the language model. A nil helper makes the provider start one of
// its own, which Close ends.
func New(c Config, helper *Helper, log *zap.Logger) (*Provider, error) {
	c = c.withDefaults()
	switch {
	case c.Phrases == "":
		return nil, errors.New("stt: pocketsphinx: phrases is empty: it names the file of the sentences to understand")
	case c.Reject < 0 || c.Reject >= 1:
		return nil, fmt.Errorf("stt: pocketsphinx: reject %v: want 0 to below 1", c.Reject)
	case c.Interim < 0:
		return nil, fmt.Errorf("stt: pocketsphinx: interim %v is negative", c.Interim)
	}
	p := &Provider{config: c, helper: helper}
	if err := p.build(); err != nil {
		return nil, err
	}
	if helper == nil {
		p.helper, p.own = localspeech.New(localspeech.Config{Path: c.Helper, Log: log}), true
	}
	return p, nil
}

// build reads the phrases and writes what the decoder needs of them.
func (p *Provider) build() error {
	file, err := os.Open(p.config.Phrases)
	if err != nil {
		return fmt.Errorf("stt: pocketsphinx: read phrases: %w", err)
	}
	defer file.Close()
	ph, err := readPhrases(file, p.config.Phrases)
	if err != nil {
		return fmt.Errorf("stt: pocketsphinx: phrases: %w", err)
	}
	known, err := os.Open(filepath.Join(p.config.Model, "cmudict-en-us.dict"))
	if err != nil {
		return fmt.Errorf("stt: pocketsphinx: read dictionary: %w: apt-get install pocketsphinx-en-us", err)
	}
	defer known.Close()
	dict, err := ph.pronounceAll(known)
	if err != nil {
		return fmt.Errorf("stt: pocketsphinx: phrases: %w", err)
	}
	model := ph.count().wittenBell()
	p.judge = judge{pairs: model.pairs(), least: p.config.Reject}
	if p.dir, err = os.MkdirTemp("", "patchcord-phrases-"); err != nil {
		return fmt.Errorf("stt: pocketsphinx: folder for the language model: %w", err)
	}
	err = errors.Join(
		write(p.file("words.dict"), func(f *os.File) error { return writeDictionary(f, dict) }),
		write(p.file("phrases.lm"), func(f *os.File) error { return model.writeARPA(f) }),
		p.adapt(telephone),
		p.adapt(wideband),
	)
	if err != nil {
		_ = os.RemoveAll(p.dir)
		return fmt.Errorf("stt: pocketsphinx: write language model: %w", err)
	}
	return nil
}

func (p *Provider) file(name string) string { return filepath.Join(p.dir, name) }

func write(path string, fill func(*os.File) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(fill(f), f.Close())
}

// Close removes the language model, and ends the helper if it is the
// provider's own.
func (p *Provider) Close() error {
	err := os.RemoveAll(p.dir)
	if p.own {
		err = errors.Join(err, p.helper.Close())
	}
	return err
}

// Open implements [stt.Provider]. It takes about 50 ms.
func (p *Provider) Open(ctx context.Context, o stt.Options) (stt.Stream, error) {
	refuse := func(format string, a ...any) (stt.Stream, error) {
		return nil, &stt.Error{Provider: Name, Op: "open", Err: fmt.Errorf(format, a...)}
	}
	if l := strings.ToLower(o.Language); l != "" && l != "en" && !strings.HasPrefix(l, "en-") {
		return refuse("language %q: it understands English only", o.Language)
	}
	if r := o.Format.Rate; r < 8000 || r > 48000 {
		return refuse("sound at %d Hz: want 8000 to 48000", r)
	}
	r, err := p.helper.Recognise(ctx, localspeech.Recognise{
		Rate: o.Format.Rate, Every: p.config.Interim,
		Args: []string{
			"-hmm", filepath.Join(p.config.Model, "en-us"),
			"-dict", p.file("words.dict"),
			"-lm", p.file("phrases.lm"),
			// The call's own detector cut the utterance: times stay those of the stream.
			"-remove_silence", "no",
			"-featparams", p.file(lineOf(o.Format.Rate).file),
		},
	})
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, failure("open", err)
	}
	return newStream(ctx, r, p.judge, o), nil
}

// failure is err as a provider's error.
func failure(op string, err error) *stt.Error {
	var e *localspeech.Error
	return &stt.Error{Provider: Name, Op: op, Temporary: errors.As(err, &e) && e.Temporary, Err: err}
}
