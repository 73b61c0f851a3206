// Стеки.
export default {
  "stacks.create": "Создать стек",
  "stacks.none": "Стеков пока нет",
  "stacks.none_text": "Стек – это прокси из одного шаблона, число которых поддерживается.",
  "stacks.no_match": "Ни один стек не подходит",
  "stacks.no_match_text": "Уберите слово фильтра.",
  "column.places": "Где",
};
