echo hi | tee a b > /dev/null; cat a b
