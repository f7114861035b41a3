"""One model per fold: fitted on train rows, stopped by valid rows, predicting test rows."""
