package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// shop is the customer's system of the demo: who the caller is, and where an
// order is. Looking an order up takes long enough to need a bridging sentence.
type shop struct {
	srv  *http.Server
	url  string
	done chan struct{}

	mu     sync.Mutex // guards what follows
	orders []string   // numbers that were asked for, in order
	looked []string   // callers that were looked up
}

// orderTime is how long the shop takes to find an order.
const orderTime = 1500 * time.Millisecond

func openShop() (*shop, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("demo: the shop's endpoint: %w", err)
	}
	s := &shop{url: "http://" + l.Addr().String(), done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /crm/lookup", s.lookup)
	mux.HandleFunc("POST /orders/status", s.status)
	s.srv = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(s.done)
		_ = s.srv.Serve(l) // ends with Close
	}()
	return s, nil
}

// request is what a webhook of the demo's dialect brings (D-04).
type request struct {
	Tool string         `json:"tool"`
	Args map[string]any `json:"args"`
}

func (s *shop) read(w http.ResponseWriter, r *http.Request) (request, bool) {
	var q request
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return q, false
	}
	return q, true
}

func (s *shop) lookup(w http.ResponseWriter, r *http.Request) {
	q, ok := s.read(w, r)
	if !ok {
		return
	}
	s.mu.Lock()
	s.looked = append(s.looked, fmt.Sprint(q.Args["phone_number"]))
	s.mu.Unlock()
	reply(w, map[string]any{"name": "Priya", "account_tier": "premium"})
}

// status knows every order; where it is follows from its number.
func (s *shop) status(w http.ResponseWriter, r *http.Request) {
	q, ok := s.read(w, r)
	if !ok {
		return
	}
	id := fmt.Sprint(q.Args["order_id"])
	s.mu.Lock()
	s.orders = append(s.orders, id)
	s.mu.Unlock()
	select {
	case <-time.After(orderTime):
	case <-r.Context().Done():
		return
	}
	sum := 0
	for _, c := range id {
		if c < '0' || c > '9' {
			reply(w, map[string]any{"error": "Order not found"})
			return
		}
		sum += int(c - '0')
	}
	days := []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"}
	statuses := []string{"packed", "shipped", "ordered"}
	reply(w, map[string]any{"status": statuses[sum%len(statuses)], "day": days[(sum+1)%len(days)]})
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the caller may have hung up
}

// asked are the orders asked for and the callers looked up.
func (s *shop) asked() (orders, callers []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.orders), slices.Clone(s.looked)
}

func (s *shop) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.srv.Shutdown(ctx) != nil {
		_ = s.srv.Close()
	}
	<-s.done
}
