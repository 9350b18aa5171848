echo data > f; gzip f; ls; gunzip f.gz; cat f; echo x | gzip -c | zcat; gzip -k f; gzip -dc f.gz
