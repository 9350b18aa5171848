package cache

// begin reserves an entry for the job, within what one job may save.
func (d *Door) begin(id identity, size int64) (number int, err error) {
	d.mu.Lock()
	if len(d.uploads) >= doorUploads || d.last >= doorEntries {
		d.mu.Unlock()
		return 0, errTooMany
	}
	limit := d.store.perJob() - d.spent
	book := size
	if size == 0 { // it is not told: something has to be left for others
		book = limit / 2
	}
	if book > limit || limit <= 0 {
		d.mu.Unlock()
		return 0, errTooBig
	}
	d.spent += book
	d.last++
	number = d.last
	d.mu.Unlock()
	u, err := d.store.reserve(id, size, book)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.spent -= book
		return 0, err
	}
	d.uploads[number] = u
	return number, nil
}

func (d *Door) upload(number int) *Upload {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.uploads[number]
}

// end notes that an upload has become an entry of size.
func (d *Door) end(number int, size int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if u := d.uploads[number]; u != nil {
		d.spent -= u.limit - size
		delete(d.uploads, number)
	}
}
