package gitea

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const (
	// maxListPage bounds a page of a list of the REST API, in bytes.
	maxListPage = 4 << 20
	// listPage is how many entries a page may have: the most that servers give, unless
	// they are configured.
	listPage = 50
)

// restList reads lists of a repository's actions by the REST API.
type restList struct {
	client                 *http.Client
	api, repository, token string
}

// page reads a page, from 1, of the list at a path.
func (l restList) page(ctx context.Context, number int, into any, path ...string) error {
	owner, name, ok := strings.Cut(l.repository, "/")
	if !ok {
		return errors.New("that names no repository")
	}
	elements := []string{"repos", url.PathEscape(owner), url.PathEscape(name), "actions"}
	for _, element := range path {
		elements = append(elements, url.PathEscape(element))
	}
	address, err := url.JoinPath(l.api, elements...)
	if err != nil {
		return err
	}
	query := url.Values{"limit": {strconv.Itoa(listPage)}}
	if number > 1 {
		query.Set("page", strconv.Itoa(number))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	if l.token != "" {
		req.Header.Set("Authorization", "token "+l.token)
	}
	// A redirect would carry the token elsewhere.
	plain := *l.client
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := plain.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxListPage))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server answered HTTP %d; a job's token may not read it, or the server is too old", resp.StatusCode)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the answer is no such list: %w", err)
	}
	return nil
}
