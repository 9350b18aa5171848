package gitea

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// RuntimeTokenJobID returns the claim JobID of a task's runtime token
// (`gitea_runtime_token`, a JWT): the job's number in the addresses of step
// summaries. The signature is the server's business and is not checked. The
// error does not repeat the token.
func RuntimeTokenJobID(token string) (int64, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return 0, errors.New("read the runtime token: it is not a JWT (three parts joined by dots)")
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return 0, fmt.Errorf("read the runtime token: its claims are not base64: %w", err)
	}
	var claims struct{ JobID *int64 }
	if err := json.Unmarshal(payload, &claims); err != nil {
		return 0, errors.New("read the runtime token: its claims are not a JSON object with a number JobID")
	}
	if claims.JobID == nil || *claims.JobID <= 0 {
		return 0, errors.New("read the runtime token: it has no claim JobID")
	}
	return *claims.JobID, nil
}
