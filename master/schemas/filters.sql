-- The conditions of a LabelFilter but for `q`, for statements that select one `id` and one `labels`.
-- part: matching
  AND (:id::bigint[] IS NULL OR id = ANY (:id))
  AND (:labels::jsonb[] IS NULL OR labels @> ALL (:labels))
  AND (:label_keys::text[] IS NULL OR labels ?& :label_keys)
  AND (:not_id::bigint[] IS NULL OR id <> ALL (:not_id))
  AND (:not_labels::jsonb[] IS NULL OR NOT labels @> ANY (:not_labels))
  AND (:not_label_keys::text[] IS NULL OR NOT labels ?| :not_label_keys)

-- A LabelFilter with names, for statements that select `name` and `sort_name`, too.
-- part: matching_named
  {filters.matching}
  AND (:name::text[] IS NULL OR name = ANY (:name))
  AND (:q::text IS NULL OR starts_with(sort_name, lower(:q)) OR id::text = :q)
  AND (:not_name::text[] IS NULL OR name <> ALL (:not_name))
