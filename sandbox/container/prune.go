package container

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

// Images that were built for actions stay for later jobs: as many as keptImages, and
// for keptTime after a job has last used them.
const (
	keptImages = 50
	keptTime   = 7 * 24 * time.Hour
)

// actionLabel marks the images.
const actionLabel = labelPrefix + "action"

// touch notes that an image is used: the engine keeps the time of its last tagging,
// for all runners that use the engine.
func (p *Provider) touch(ctx context.Context, tag string) {
	// Where it fails, the image is built again some day.
	_, _ = within(ctx, func(ctx context.Context) (client.ImageTagResult, error) {
		return p.engine.ImageTag(ctx, client.ImageTagOptions{Source: tag, Target: tag})
	})
}

// builtImage is one that was built for an action.
type builtImage struct {
	tag  string
	used time.Time
}

// pruneImages removes those that have not been used for long, or are too many. One
// that a container is made from resists; the next sweep tries again.
func (p *Provider) pruneImages(ctx context.Context) {
	list, err := p.engine.ImageList(ctx, client.ImageListOptions{Filters: client.Filters{}.Add("label", actionLabel)})
	if err != nil {
		return
	}
	var built []builtImage
	for _, i := range list.Items {
		for _, tag := range i.RepoTags {
			if !strings.HasPrefix(tag, actionRepository+":") {
				continue
			}
			found, err := p.engine.ImageInspect(ctx, tag)
			if err != nil {
				continue // it has just gone
			}
			used := found.Metadata.LastTagTime
			if made := time.Unix(i.Created, 0); used.Before(made) {
				used = made // Podman does not tell
			}
			built = append(built, builtImage{tag, used})
		}
	}
	slices.SortFunc(built, func(a, b builtImage) int { return cmp.Compare(b.used.UnixNano(), a.used.UnixNano()) })
	for n, i := range built {
		if n >= keptImages || time.Since(i.used) > keptTime {
			_, _ = p.engine.ImageRemove(ctx, i.tag, client.ImageRemoveOptions{PruneChildren: true})
		}
	}
}
