package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// Deliveries are the webhooks that the API shows and replays.
type Deliveries interface {
	Deliveries(ctx context.Context, f store.DeliveryFilter) ([]store.Delivery, string, error)
	Delivery(ctx context.Context, id string) (store.Delivery, error)
	Replay(ctx context.Context, id string) (store.Delivery, error)
}

var _ Deliveries = (*store.Store)(nil)

// Delivery is a webhook of a call as the API shows it.
type Delivery struct {
	ID          string          `json:"id" format:"uuid" doc:"The webhook-id of all its attempts"`
	CallID      string          `json:"call_id"`
	AgentID     string          `json:"agent_id"`
	Event       string          `json:"event" example:"end-of-call-report"`
	URL         string          `json:"url" doc:"Without a credential that stands in it"`
	State       string          `json:"state" enum:"pending,delivered,dead" doc:"dead: given up, it may be replayed"`
	Attempts    int             `json:"attempts"`
	Status      int             `json:"http_status,omitempty" doc:"Of the last attempt"`
	Error       string          `json:"error,omitempty" doc:"Of the last attempt"`
	CreatedAt   time.Time       `json:"created_at"`
	AttemptedAt *time.Time      `json:"attempted_at,omitempty"`
	Body        json.RawMessage `json:"body,omitempty" doc:"What was sent; in the single view"`
}

func deliveryView(d store.Delivery) Delivery {
	v := Delivery{
		ID: d.ID, CallID: string(d.Call), AgentID: string(d.Agent), Event: d.Event, URL: tools.MaskURL(d.URL),
		State: string(d.State), Attempts: d.Attempts, Status: d.Status, Error: d.Error, CreatedAt: d.Created,
	}
	if !d.Attempted.IsZero() {
		v.AttemptedAt = &d.Attempted
	}
	return v
}

type deliveryID struct {
	ID string `path:"id" maxLength:"64" doc:"Id of the delivery"`
}

// deliveries are the paths of webhooks; none without a store of them.
func (s *Server) deliveries() {
	if s.cfg.Deliveries == nil {
		return
	}
	huma.Register(s.api, huma.Operation{
		OperationID: "list-webhook-deliveries", Method: http.MethodGet, Path: "/v1/webhook-deliveries",
		Summary: "Webhooks of calls, the oldest first", Tags: []string{"webhooks"}, Security: scope("webhooks:read"),
	}, s.listDeliveries)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-webhook-delivery", Method: http.MethodGet, Path: "/v1/webhook-deliveries/{id}",
		Summary: "A webhook, with what was sent", Tags: []string{"webhooks"}, Security: scope("webhooks:read"),
	}, func(ctx context.Context, in *deliveryID) (*body[Delivery], error) {
		d, err := s.delivery(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		v := deliveryView(d)
		v.Body = d.Body
		return &body[Delivery]{v}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "replay-webhook-delivery", Method: http.MethodPost, Path: "/v1/webhook-deliveries/{id}/replay",
		Summary: "Send a webhook again that has arrived or was given up", Tags: []string{"webhooks"},
		Security: scope("webhooks:write"), DefaultStatus: http.StatusAccepted,
	}, func(ctx context.Context, in *deliveryID) (*body[Delivery], error) {
		if _, err := s.delivery(ctx, in.ID); err != nil {
			return nil, err
		}
		d, err := s.cfg.Deliveries.Replay(ctx, in.ID)
		switch {
		case errors.Is(err, store.ErrPending):
			return nil, fail(http.StatusConflict, "delivery_pending", "",
				"The delivery has neither arrived nor been given up yet: it is still tried.")
		case err != nil:
			return nil, internal(err)
		}
		return &body[Delivery]{deliveryView(d)}, nil
	})
}

func (s *Server) listDeliveries(ctx context.Context, in *struct {
	Call   string `query:"call_id" maxLength:"64"`
	State  string `query:"state" enum:"pending,delivered,dead"`
	Event  string `query:"event" maxLength:"64"`
	Cursor string `query:"cursor" maxLength:"200" doc:"next_cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"50"`
},
) (*body[Page[Delivery]], error) {
	f := store.DeliveryFilter{
		Call: telephony.CallID(in.Call), State: store.DeliveryState(in.State), Event: in.Event,
		Page: store.Page{Cursor: in.Cursor, Limit: in.Limit},
	}
	if who := caller(ctx); len(who.Agents) > 0 {
		f.Agents = append([]agent.ID{}, who.Agents...)
	}
	ds, next, err := s.cfg.Deliveries.Deliveries(ctx, f)
	switch {
	case errors.Is(err, store.ErrCursor):
		return nil, fail(http.StatusUnprocessableEntity, "", "query.cursor", "The cursor is not one that a list gave.")
	case err != nil:
		return nil, internal(err)
	}
	page := Page[Delivery]{Data: []Delivery{}, NextCursor: next}
	for _, d := range ds {
		page.Data = append(page.Data, deliveryView(d))
	}
	return &body[Page[Delivery]]{page}, nil
}

// delivery is one that the caller's key may see.
func (s *Server) delivery(ctx context.Context, id string) (store.Delivery, error) {
	d, err := s.cfg.Deliveries.Delivery(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && !caller(ctx).sees(d.Agent):
		return d, notFound("webhook delivery")
	case err != nil:
		return d, internal(err)
	}
	return d, nil
}
