package openai

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"strings"

	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/internal/openaihttp"
)

// maxAnswer is how much of an answer is read, bytes.
const maxAnswer = 1 << 20

// wavHeader is a RIFF header of 44 bytes before 16-bit mono samples.
func wavHeader(samples, rate int) []byte {
	b := make([]byte, 0, 44)
	b = append(b, "RIFF"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(36+2*samples))
	b = append(b, "WAVEfmt "...)
	b = binary.LittleEndian.AppendUint32(b, 16)
	b = binary.LittleEndian.AppendUint16(b, 1) // PCM
	b = binary.LittleEndian.AppendUint16(b, 1) // channel
	b = binary.LittleEndian.AppendUint32(b, uint32(rate))
	b = binary.LittleEndian.AppendUint32(b, uint32(2*rate)) // bytes per second
	b = binary.LittleEndian.AppendUint16(b, 2)              // bytes per sample
	b = binary.LittleEndian.AppendUint16(b, 16)             // bits per sample
	b = append(b, "data"...)
	return binary.LittleEndian.AppendUint32(b, uint32(2*samples))
}

// form is the body of a request, and its content type.
func (p *Provider) form(pcm []int16, rate int, language string) (body []byte, contentType string, err error) {
	var b bytes.Buffer
	b.Grow(2*len(pcm) + 2048)
	w := multipart.NewWriter(&b)
	fields := [][2]string{
		{"model", p.config.Model},
		{"response_format", "json"},
		{"language", primary(language)},
		{"prompt", p.config.Prompt},
	}
	for _, f := range fields {
		if f[1] == "" {
			continue
		}
		if err := w.WriteField(f[0], f[1]); err != nil {
			return nil, "", err
		}
	}
	file, err := w.CreateFormFile("file", "utterance.wav")
	if err != nil {
		return nil, "", err
	}
	samples := make([]byte, 0, 2*len(pcm))
	for _, s := range pcm {
		samples = binary.LittleEndian.AppendUint16(samples, uint16(s))
	}
	if _, err := file.Write(append(wavHeader(len(pcm), rate), samples...)); err != nil {
		return nil, "", err
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	return b.Bytes(), w.FormDataContentType(), nil
}

// primary is the language of a BCP 47 tag without its region: the API takes
// ISO 639-1.
func primary(tag string) string {
	lang, _, _ := strings.Cut(tag, "-")
	return strings.ToLower(lang)
}

// transcribe is the words of an utterance, "" for none. A refusal that passes
// is tried once more.
func (p *Provider) transcribe(ctx context.Context, pcm []int16, rate int, language string) (string, error) {
	body, contentType, err := p.form(pcm, rate, language)
	if err != nil {
		return "", &stt.Error{Provider: Name, Op: "send", Err: err}
	}
	return openaihttp.Twice(ctx, func() (string, error) { return p.post(ctx, body, contentType) })
}

// post is one try. One that had all its time is not worth another: the caller
// has waited long enough.
func (p *Provider) post(ctx context.Context, body []byte, contentType string) (string, error) {
	timed, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	res, err := p.client.Post(timed, "/audio/transcriptions", contentType, body)
	if err != nil {
		return "", &stt.Error{Provider: Name, Op: "send", Temporary: openaihttp.Temporary(err), Err: err}
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return "", &stt.Error{Provider: Name, Op: "read", Temporary: true, Err: err}
	}
	return words(data)
}

// words reads an answer.
func words(data []byte) (string, error) {
	var answer struct {
		Text *string `json:"text"`
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		err = fmt.Errorf("its answer is no JSON: %w", err)
		return "", &stt.Error{Provider: Name, Op: "read", Temporary: true, Err: err}
	}
	if answer.Text == nil {
		err := fmt.Errorf("its answer has no text: %.100q", data)
		return "", &stt.Error{Provider: Name, Op: "read", Temporary: true, Err: err}
	}
	return strings.TrimSpace(*answer.Text), nil
}
