package wsmedia

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// request is the form that Twilio and those who follow it take: Status, or other
// instructions in a field of the carrier's.
func (o order) request(address, field string) (*http.Request, error) {
	form := url.Values{"Status": {"completed"}}
	if o.document != "" {
		form = url.Values{field: {o.document}}
	}
	r, err := http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode())) //nolint:noctx // set by order
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "application/json")
	}
	return r, err
}

// maxAnswer is how much of an answer is read, bytes.
const maxAnswer = 4 << 10

// order changes a call over its carrier's API.
func (s *Server) order(ctx context.Context, l *leg, o order) error {
	if l.d.order == nil {
		return fmt.Errorf("%s has no API for that", l.d.name)
	}
	r, err := l.d.order(&l.account, l.call, o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	res, err := s.cfg.Client.Do(r.WithContext(ctx))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer)) // what there is of it
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s: %.200s", l.d.name, res.Status, clean(string(text)))
	}
	return nil
}
