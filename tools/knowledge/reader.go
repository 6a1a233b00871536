package knowledge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// Bounds of reading a file in a process of its own.
const (
	readTimeout = 20 * time.Second
	readMemory  = 1 << 30 // bytes
	maxBlocks   = 4 * maxText
)

// ReadFile is the other side of Config.Reader: it reads a file from in and
// writes its blocks to out. The memory of this process is bounded from then on.
func ReadFile(ctx context.Context, t Type, in io.Reader, out io.Writer) error {
	if err := limitMemory(readMemory); err != nil {
		return fmt.Errorf("knowledge: bound the memory of a reader: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(in, MaxFile+1))
	if err != nil {
		return fmt.Errorf("knowledge: read a file: %w", err)
	}
	blocks, err := Load(ctx, t, data)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(blocks)
}

// read turns a file into blocks: in a process of its own where there is a
// program for that, which a file that hangs or eats memory cannot leave.
func (l *Library) read(ctx context.Context, t Type, data []byte) ([]Block, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if t == Text || len(l.cfg.Reader) == 0 {
		return Load(ctx, t, data)
	}
	cmd := exec.CommandContext(ctx, l.cfg.Reader[0], append(l.cfg.Reader[1:], string(t))...) //nolint:gosec // ours
	cmd.Env = []string{"GOMAXPROCS=1", "GOTRACEBACK=none"}                                   // no secrets
	cmd.WaitDelay = time.Second
	out, fault := &bounded{left: maxBlocks}, &bounded{left: 4 << 10}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(data), out, fault
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, faulty("the file takes longer than %d s to read", readTimeout/time.Second)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return nil, faulty("%s", strings.TrimSpace(fault.b.String()))
	case errors.As(err, &exit):
		return nil, faulty("the file cannot be read: its reader broke, or needed more than %d MB", readMemory>>20)
	case err != nil:
		return nil, fmt.Errorf("knowledge: start the reader of files: %w", err)
	}
	var blocks []Block
	if err := json.Unmarshal(out.b.Bytes(), &blocks); err != nil {
		return nil, fmt.Errorf("knowledge: read the reader's answer: %w", err)
	}
	return blocks, nil
}

// bounded keeps the first bytes that are written to it.
type bounded struct {
	b    bytes.Buffer
	left int
}

func (w *bounded) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	w.left -= n
	w.b.Write(p[:n])
	return len(p), nil
}
