"""What people ask and the documents do not answer: noticed, counted, and made into documents by people."""
