-- Whose an operation is: lists are filtered by it, the newest first.
ALTER TABLE mint_operations ADD COLUMN caller VARCHAR(128) NOT NULL DEFAULT '';
COMMENT ON COLUMN mint_operations.caller IS 'Who asked for the operation; empty, from before this was kept: nobody but admins.';
CREATE INDEX idx_mint_operations_caller ON mint_operations (caller, start_time DESC, id DESC);
